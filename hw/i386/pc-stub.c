/*
 * The abstract PC machine type, for builds without PC boards
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/pc.h"
#include "hw/i386/x86.h"

/*
 * libvirt asks each QEMU for x86 for the properties of this type.  Without the
 * type, some versions of libvirt (11.3, for example) crash with a null pointer.
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
