/*
 * A kernel that only looks: it writes the state that it was started in to the
 * serial port, one "name=value" a line, and resets the machine.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .set    ZP_RAMDISK_IMAGE, 0x218
        .set    ZP_RAMDISK_SIZE, 0x21c
        .set    ZP_CMD_LINE, 0x228
        .set    ZP_E820_ENTRIES, 0x1e8
        .set    ZP_E820, 0x2d0

        .macro  show name, value
        .section .rodata
9:      .asciz  "\name="
        .text
        mov     \value, %r8
        lea     9b(%rip), %rbx
        call    show
        .endm

        .text
        .global _start
_start:
        mov     %rsi, %r15
        mov     $0x9000, %esp
        show    rip, $_start
        show    rsi, %r15
        mov     %cr0, %rax
        show    cr0, %rax
        mov     %cr3, %rax
        show    cr3, %rax
        mov     %cr4, %rax
        show    cr4, %rax
        mov     $0xc0000080, %ecx
        rdmsr
        show    efer, %rax
        mov     %cs, %rax
        show    cs, %rax
        mov     %ds, %rax
        show    ds, %rax
        mov     %es, %rax
        show    es, %rax
        mov     %ss, %rax
        show    ss, %rax
        pushf
        pop     %rax
        show    rflags, %rax
        mov     ZP_RAMDISK_IMAGE(%r15), %eax
        show    ramdisk_image, %rax
        mov     ZP_RAMDISK_SIZE(%r15), %eax
        show    ramdisk_size, %rax
        mov     ZP_RAMDISK_IMAGE(%r15), %eax
        mov     (%rax), %rax
        show    ramdisk_data, %rax
        movzbl  ZP_E820_ENTRIES(%r15), %eax
        show    e820_entries, %rax
        lea     ZP_E820(%r15), %r14
        movzbl  ZP_E820_ENTRIES(%r15), %r13d
1:      mov     (%r14), %rax
        show    e820_start, %rax
        mov     8(%r14), %rax
        show    e820_size, %rax
        mov     16(%r14), %eax
        show    e820_type, %rax
        add     $20, %r14
        dec     %r13d
        jnz     1b
        lea     cmdline_name(%rip), %rbx
        call    text
        mov     ZP_CMD_LINE(%r15), %ebx
        call    text
        mov     $'\n', %al
        call    putc
        mov     $0xfe, %al
        out     %al, $0x64
2:      hlt
        jmp     2b

show:   /* the text at rbx, then r8 in hex, then a line's end */
        call    text
        mov     $16, %r9d
1:      rol     $4, %r8
        mov     %r8d, %eax
        and     $15, %eax
        lea     digits(%rip), %r10
        mov     (%r10,%rax), %al
        call    putc
        dec     %r9d
        jnz     1b
        mov     $'\n', %al
        call    putc
        ret

text:   mov     (%rbx), %al
        test    %al, %al
        jz      1f
        call    putc
        inc     %rbx
        jmp     text
1:      ret

putc:   mov     %al, %r11b
        mov     $0x3fd, %edx
1:      in      %dx, %al
        test    $0x20, %al
        jz      1b
        mov     $0x3f8, %edx
        mov     %r11b, %al
        out     %al, %dx
        ret

        .section .rodata
digits: .ascii  "0123456789abcdef"
cmdline_name: .asciz "cmdline="
