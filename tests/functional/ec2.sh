# Builds an enclave image and takes an enclave through its life, as it is done
# on an EC2 instance: the commands are AWS's, and so are the options.
#
# SPDX-License-Identifier: GPL-2.0-or-later
set -eu

nitro-cli build-enclave --docker-dir app --docker-uri hello:1.0 \
    --output-file hello.eif --private-key key.pem \
    --signing-certificate cert.pem > build-enclave.json
nitro-cli describe-eif --eif-path hello.eif > describe-eif.json
nitro-cli pcr --signing-certificate cert.pem > pcr.json
nitro-cli pcr --input app/Dockerfile > pcr-input.json

[ "$(jq -r .Measurements.PCR8 build-enclave.json)" = "$(jq -r .PCR8 pcr.json)" ]
[ "$(jq -r .IsSigned,.CheckCRC,.SignatureCheck describe-eif.json | uniq)" = true ]

nitro-cli run-enclave --cpu-count 2 --memory 512 --enclave-cid 16 \
    --eif-path hello.eif --debug-mode > run-enclave.json
nitro-cli describe-enclaves > describe-enclaves.json
nitro-cli describe-enclaves --metadata > describe-enclaves-metadata.json

id=$(nitro-cli describe-enclaves | jq -r '.[0].EnclaveID')
[ "$(nitro-cli describe-enclaves | jq -r '.[0].State')" = RUNNING ]
nitro-cli console --enclave-id "$id" --disconnect-timeout 3 > console
grep -q 'Hello from the enclave!' console
nitro-cli terminate-enclave --enclave-id "$id" > terminate-enclave.json

cat > enclave.json << EOF
{
    "enclave_name": "again",
    "cpu_ids": [2, 3],
    "memory_mib": 512,
    "eif_path": "hello.eif",
    "enclave_cid": 20,
    "debug_mode": false
}
EOF
nitro-cli run-enclave --config enclave.json > run-enclave-config.json
nitro-cli sign-eif --eif-path hello.eif --private-key key.pem \
    --signing-certificate cert.pem > sign-eif.json
nitro-cli terminate-enclave --all > terminate-enclave-all.json
[ "$(nitro-cli describe-enclaves | jq length)" = 0 ]
nitro-cli describe-enclaves > describe-enclaves-none.json
