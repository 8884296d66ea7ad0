# bash completion for qemu-nitro-cli, also where it is called nitro-cli
#
# Commands, their options, files after those that take one, and what runs now
# after --enclave-name and --enclave-id.
#
# SPDX-License-Identifier: GPL-2.0-or-later

# The values of a key of describe-enclaves' JSON, a line each
_qemu_nitro_cli_running()
{
    "$1" describe-enclaves 2>/dev/null | sed -n "s/^ *\"$2\": \"\(.*\)\",*$/\1/p"
}

_qemu_nitro_cli()
{
    local program=$1 word=$2 before=$3 options i
    local commands="attestation-root build-enclave console describe-eif
        describe-enclaves explain parent pcr run-enclave sign-eif terminate-enclave
        verify-attestation"

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" \
            -- "$word")
        return
    fi

    case $before in
    --rootfs | --docker-dir)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
        ;;
    --eif-path | --config | --output | --output-file | --docker-archive | \
        --signing-certificate | --private-key | --input | --document | \
        --root | --metadata | --console-log | --vsock-proxy-config)
        if [[ $before != --metadata || ${COMP_WORDS[1]} == build-enclave ]]
        then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
        ;;
    --enclave-name | --enclave-id | --enclave)
        # run-enclave's is a new one
        [[ ${COMP_WORDS[1]} == run-enclave ]] && return
        i=EnclaveName
        [[ $before == --enclave-id ]] && i=EnclaveID
        mapfile -t COMPREPLY < <(compgen -W \
            "$(_qemu_nitro_cli_running "$program" "$i")" -- "$word")
        return
        ;;
    --arch)
        mapfile -t COMPREPLY < <(compgen -W \
            "x86_64 amd64 aarch64 arm64" -- "$word")
        return
        ;;
    --memory | --cpu-count | --cpu-ids | --enclave-cid | --name | --version | \
        --cmd | --env | --cmdline | --docker-uri | --disconnect-timeout | \
        --connect | --listen | --forward-cid | --forward-listen | \
        --parent-role | --parent-id | --error-code | --nonce | --user-data | \
        --public-key | --max-age | --at | --pcr*)
        return
        ;;
    esac

    case ${COMP_WORDS[1]} in
    attestation-root) options=--output ;;
    build-enclave)
        options="--rootfs --docker-archive --docker-uri --docker-dir --cmd
            --env --output-file --name --version --metadata --cmdline --arch
            --signing-certificate --private-key"
        ;;
    console) options="--enclave-id --enclave-name --disconnect-timeout" ;;
    describe-eif) options=--eif-path ;;
    describe-enclaves) options=--metadata ;;
    explain) options=--error-code ;;
    parent) options=--enclave ;;
    pcr) options="--signing-certificate --input" ;;
    run-enclave)
        options="--eif-path --memory --cpu-count --cpu-ids --enclave-cid
            --enclave-name --debug-mode --attach-console --parent-role
            --parent-id --console-log --connect --listen --forward-cid
            --forward-listen --vsock-proxy-config --config"
        ;;
    sign-eif) options="--eif-path --signing-certificate --private-key" ;;
    terminate-enclave) options="--enclave-id --enclave-name --all" ;;
    verify-attestation)
        options="--document --root --nonce --user-data --public-key
            --max-age --at"
        for ((i = 0; i < 32; i++)); do
            options+=" --pcr$i"
        done
        ;;
    *) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options --help" -- "$word")
}

complete -F _qemu_nitro_cli qemu-nitro-cli nitro-cli
