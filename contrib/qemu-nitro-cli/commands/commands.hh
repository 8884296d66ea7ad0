/*
 * The commands of qemu-nitro-cli
 *
 * Each function gets the command line from the command's name on, writes its
 * result to stdout, and throws Error on failure.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef QEMU_NITRO_CLI_COMMANDS_COMMANDS_HH
#define QEMU_NITRO_CLI_COMMANDS_COMMANDS_HH

void attestation_root_command(int argc, char **argv);
void build_enclave_command(int argc, char **argv);
void describe_eif_command(int argc, char **argv);
void explain_command(int argc, char **argv);
void pcr_command(int argc, char **argv);
void sign_eif_command(int argc, char **argv);
void verify_attestation_command(int argc, char **argv);
void console_command(int argc, char **argv);
void describe_enclaves_command(int argc, char **argv);
void parent_command(int argc, char **argv);
void run_enclave_command(int argc, char **argv);
void terminate_enclave_command(int argc, char **argv);

#endif
