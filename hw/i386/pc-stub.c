/*
 * The abstract PC machine type, for builds without PC boards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"

/*
 * libvirt asks each QEMU for x86 which properties this type has.  Some of its
 * versions (11.3 was seen) end with a null pointer if it is not there.
 */
static const TypeInfo pc_machine_stub_info = {
    .name = TYPE_PC_MACHINE,
    .parent = TYPE_X86_MACHINE,
    .abstract = true,
};

static void pc_machine_stub_register_types(void)
{
    type_register_static(&pc_machine_stub_info);
}

type_init(pc_machine_stub_register_types)
