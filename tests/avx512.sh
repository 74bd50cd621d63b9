#!/usr/bin/env bash
# Runs the C++ tests on emulated processors with AVX-512, one with VNNI and one without, under a small Linux.
#   tests/avx512.sh [words]    the tests whose names contain one of the words; without any, a few of each kernel
# Needs Debian's packages bochs, bochs-term, busybox-static, cpio, isolinux, syslinux-common and xorriso. The kernel is
# KERNEL, or Debian's for virtual machines, which is then downloaded. `tests/avx512.sh fixed_cases` takes 70 seconds of
# one core with Debian's Bochs, which has its debugger built in, and 19 with one built without (--enable-x86-64
# --enable-avx --enable-evex --enable-pci --enable-all-optimizations --with-term): BOCHS names it.
set -euo pipefail
kernel=${KERNEL:+$(realpath "$KERNEL")}
bochs=$(realpath "$(command -v "${BOCHS:-bochs}" || echo bochs)")
cd "$(dirname "$0")/.."
for tool in "$bochs" busybox cpio xorrisofs; do
  command -v "$tool" > /dev/null || { echo "$tool is missing: the top of $0 says what it needs" >&2; exit 2; }
done
[ $# -gt 0 ] || set -- fixed_cases every_kernel int8_products recurrent_step decode_attention chain_of_fma topk

cmake --preset release -B build/avx512 -G Ninja -DCMAKE_EXE_LINKER_FLAGS=-static
cmake --build build/avx512 --target fastseq_tests
cd build/avx512
if [ -z "$kernel" ]; then
  if ! compgen -G 'kernel/boot/vmlinuz-*' > /dev/null; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
    apt-get download "$package"
    dpkg -x "$package"_*.deb kernel
  fi
  kernel=$(compgen -G 'kernel/boot/vmlinuz-*')
fi

rm -rf root disc
mkdir -p root/bin root/proc disc/isolinux
cp "$(command -v busybox)" root/bin/
strip -o root/bin/fastseq_tests fastseq_tests
printf '%s\n' "$@" > root/words
cat > root/init << 'SH'
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox grep -m1 'model name' /proc/cpuinfo
failed=
while read -r word; do /bin/fastseq_tests "$word" || failed=yes; done < /words
[ -n "$failed" ] || echo "all passed"
$busybox sleep 1 # until the serial line has sent everything
$busybox poweroff -f
SH
chmod +x root/init
(cd root && find . | cpio -o -H newc --quiet) > disc/initrd
cp "$kernel" disc/vmlinuz
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 disc/isolinux/
# Bochs states sizes of saved registers only for XSAVE without compaction and without protection keys (features 321, 323
# and 515), and has fast short copies (580) but turns fast strings off, which the kernel's memmove does not expect.
cat > disc/isolinux/isolinux.cfg << 'CFG'
default tests
label tests
  kernel /vmlinuz
  append initrd=/initrd console=ttyS0 quiet mitigations=off nokaslr clearcpuid=321,323,515,580
CFG
xorrisofs -quiet -o tests.iso -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 \
  -boot-info-table disc

options=()
if [[ $("$bochs" --help 2>&1) == *"-rc filename"* ]]; then # with the debugger: start at once
  echo continue > debugger
  options=(-rc debugger)
fi
for model in corei7_icelake_u corei7_skylake_x; do
  rm -f serial.txt
  cat > bochsrc << RC
config_interface: textconfig
display_library: term
megs: 512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=$model, count=1, ips=100000000
ata0: enabled=1
ata0-master: type=cdrom, path=tests.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=serial.txt
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
RC
  TERM=xterm "$bochs" -q -f bochsrc "${options[@]}" < /dev/null > screen.txt 2>&1 || true
  cat serial.txt
  grep -q '^all passed' serial.txt
done
