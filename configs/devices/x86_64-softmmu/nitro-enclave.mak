# SPDX-License-Identifier: GPL-2.0-or-later

# The boards that run AWS Nitro Enclaves images, and nothing else:
#   configure --without-default-devices --with-devices-x86_64=nitro-enclave

CONFIG_MICROVM=y
CONFIG_NITRO_ENCLAVE=y
