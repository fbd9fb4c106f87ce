const romSize = 64 * 1024;
/** Where the processor begins after reset: 16 bytes below the end of a ROM that ends at 4 GiB. */
const resetVector = romSize - 16;

/** The I/O port of the `isa-debug-exit` device. */
export const probeExitPort = 0xf4;
/** QEMU's exit code for the byte 0x11 written to that port: twice the value plus one. */
export const probeExitCode = 0x11 * 2 + 1;

/**
 * A firmware of 200 bytes that proves that a virtual processor executes, as a kernel needs it and at a
 * speed that is of use: it goes from real to protected to long mode, fills 12 MiB, counts to ten million
 * and says so by ending QEMU. Merely to start is not enough: there are hosts whose KVM emulates a guest's
 * kernel instruction by instruction, so that one `rep stosb` lasts for minutes.
 *
 * The ROM is seen at the end of 4 GiB, its code at 0xffff0000.
 */
export function probeFirmware(): Uint8Array {
  const rom = new Uint8Array(romSize);
  rom.set(code, 0);
  rom.set(reset, resetVector);
  return rom;
}

const reset = bytes('e9 0d 00'); // jmp 0xffff0000

const code = bytes(`
  fa                                    cli
  2e 66 0f 01 16 f8 00                  lgdtl  cs:[gdtr]
  0f 20 c0                              mov    eax, cr0
  66 83 c8 01                           or     eax, 1               ; protection on
  0f 22 c0                              mov    cr0, eax
  66 ea 1a 00 ff ff 08 00               jmp    08:0xffff001a

  b8 10 00 00 00                        mov    eax, 0x10            ; 32 bits from here
  8e d8                                 mov    ds, eax
  8e c0                                 mov    es, eax
  bf 00 10 00 00                        mov    edi, 0x1000          ; page tables: none
  31 c0                                 xor    eax, eax
  b9 00 08 00 00                        mov    ecx, 0x800
  f3 ab                                 rep stosd
  c7 05 00 10 00 00 03 20 00 00         mov    [0x1000], 0x2003     ; level 4
  c7 05 00 20 00 00 03 30 00 00         mov    [0x2000], 0x3003     ; level 3, first GiB
  c7 05 18 20 00 00 03 40 00 00         mov    [0x2018], 0x4003     ; and fourth GiB
  bf 00 30 00 00                        mov    edi, 0x3000          ; level 2: 8 pages of 2 MiB
  b8 83 00 00 00                        mov    eax, 0x83
  b9 08 00 00 00                        mov    ecx, 8
  89 07                                 mov    [edi], eax
  05 00 00 20 00                        add    eax, 0x200000
  83 c7 08                              add    edi, 8
  e2 f4                                 loop   -12
  c7 05 f8 4f 00 00 83 00 e0 ff         mov    [0x4ff8], 0xffe00083 ; the page of this ROM
  0f 20 e0                              mov    eax, cr4
  83 c8 20                              or     eax, 0x20            ; PAE
  0f 22 e0                              mov    cr4, eax
  b8 00 10 00 00                        mov    eax, 0x1000
  0f 22 d8                              mov    cr3, eax
  b9 80 00 00 c0                        mov    ecx, 0xc0000080      ; EFER
  0f 32                                 rdmsr
  0d 00 01 00 00                        or     eax, 0x100           ; long mode on
  0f 30                                 wrmsr
  0f 20 c0                              mov    eax, cr0
  0d 00 00 00 80                        or     eax, 0x80000000      ; paging on
  0f 22 c0                              mov    cr0, eax
  ea a5 00 ff ff 18 00                  jmp    18:0xffff00a5

  bf 00 00 20 00                        mov    edi, 0x200000        ; 64 bits from here
  b9 00 00 c0 00                        mov    ecx, 0xc00000
  b0 5a                                 mov    al, 0x5a
  f3 aa                                 rep stosb                   ; 12 MiB
  b9 80 96 98 00                        mov    ecx, 10000000
  48 ff c9                              dec    rcx
  75 fb                                 jnz    -5
  48 b8 00 00 00 00 00 00 00 44         mov    rax, 0x4400000000000000
  48 c1 e8 3a                           shr    rax, 58              ; 0x11, in long mode only
  66 ba f4 00                           mov    dx, 0xf4
  ee                                    out    dx, al
  f4                                    hlt
  eb fd                                 jmp    -3
  90 90 90 90 90                        ; up to 0xd8

  00 00 00 00 00 00 00 00               gdt:   none
  ff ff 00 00 00 9b cf 00               08:    code, 32 bits
  ff ff 00 00 00 93 cf 00               10:    data
  ff ff 00 00 00 9b af 00               18:    code, 64 bits
  1f 00 d8 00 ff ff                     gdtr:  at 0xffff00d8
`);

/** The pairs of hexadecimal digits at the beginning of each line. */
function bytes(listing: string): Uint8Array {
  const pairs = listing
    .split('\n')
    .flatMap((line) => /^\s*((?:[0-9a-f]{2}(?: |$))*)/.exec(line)?.[1]?.split(' ') ?? []);
  return Uint8Array.from(pairs.filter(Boolean), (pair) => Number.parseInt(pair, 16));
}
