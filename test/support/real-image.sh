#!/usr/bin/env bash
# Makes states of one ext4 disk that was really used (packages installed, files deleted, appended to and
# rewritten in place, then trimmed) and one FAT disk, all sparse raw files.
#
#   real-image.sh [VIRTUAL_SIZE [DATA_MIB [STATES]]]      default: 1G 150 3
#
# Three states grow to DATA_MIB. Of six states the second, third and fifth grow, the fourth changes little, and in the
# sixth much is deleted.
#
# Prints "PATH SIZE_BYTES ALLOCATED_BYTES" for each. A second call with the same arguments only prints. Needs Debian,
# mke2fs, mtools and dosfstools; loop mounts where they work, debugfs where not. Files are kept under
# VSIMG_TEST_CACHE, or else under node_modules/.cache/vsimg-images.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

virtual_size=${1:-1G}
data_mib=${2:-150}
states=${3:-3}
case $states in
  3 | 6) ;;
  *) echo "there are series of 3 or 6 states" >&2 && exit 64 ;;
esac
script=$(realpath "${BASH_SOURCE[0]}")
cache=$(realpath -m "${VSIMG_TEST_CACHE:-$(dirname "$script")/../../node_modules/.cache/vsimg-images}")
series=$cache/$virtual_size-$data_mib-$states
made_by=$(sha256sum <"$script")

# In the order of unpacking; the first ones that fit into the wanted amount are taken.
packages=(
  coreutils bash perl-base tar vim-common python3.11-minimal e2fsprogs libc-bin vim-runtime libpython3.11-stdlib
  perl-modules-5.36 locales git libicu72 cpp-12 gcc-12 g++-12 libpython3.11-dev cmake-data libllvm14 golang-1.19-src
  openjdk-17-jre-headless libreoffice-core firefox-esr linux-image-amd64 libgtk-3-0 thunderbird chromium
  fonts-noto-cjk rustc libstd-rust-dev qemu-system-x86 ghc texlive-latex-extra kicad-libraries
)

report() {
  local image
  for image in "$series"/*.raw; do
    echo "$image $(stat -c %s "$image") $(($(stat -c %b "$image") * 512))"
  done
}

mkdir -p "$cache/packages"
exec 9>"$cache/lock"
flock 9
if [ "$(cat "$series/made-by" 2>/dev/null)" = "$made_by" ]; then
  report
  exit
fi

work=$(mktemp -d "$cache/work.XXXXXX")
mounted=
cleanup() {
  [ -z "$mounted" ] || umount "$work/mnt"
  rm -rf "$work"
}
trap cleanup EXIT
mkdir "$work"/{tree,fat,mnt,out}
RANDOM=20140611

download() {
  (cd "$cache/packages" && apt-get -qq -o APT::Sandbox::User=root download "$1" >/dev/null 2>&1)
}

# unpack DIRECTORY UP_TO_MIB: unpacks further packages until the whole series holds that much.
unpacked_kib=0
next=0
unpack() {
  local directory=$1 limit_kib=$(($2 * 1024)) name kib
  for (( ; next < ${#packages[@]} && unpacked_kib < limit_kib; next++)); do
    name=${packages[next]}
    kib=$(apt-cache show --no-all-versions "$name" 2>/dev/null | awk '/^Installed-Size:/ { print $2; exit }')
    if [ -z "$kib" ] || ((unpacked_kib + kib > data_mib * 1024 * 11 / 10)); then continue; fi
    if ! compgen -G "$cache/packages/${name}_*.deb" >/dev/null && ! download "$name"; then continue; fi
    dpkg-deb -x "$(compgen -G "$cache/packages/${name}_*.deb" | head -n 1)" "$directory"
    unpacked_kib=$((unpacked_kib + kib))
  done
}

# A database: pages that are rewritten in place, here and there.
touch_database() {
  local count=$1 i
  for ((i = 0; i < count; i++)); do
    dd if=/dev/urandom of="$work/database" bs=4096 count=1 seek=$(((RANDOM << 15 | RANDOM) % 2048)) conv=notrunc status=none
  done
}

log_lines() { seq -f "Jun 11 12:00:00 host daemon[%.0f]: request served, status 200" "$1" "$2"; }

# change_disk IMAGE STAGE GONE: copies the tree STAGE into the file system, removes the files listed in GONE, rewrites
# the database in its place.
change_disk() {
  local image=$1 stage=$2 gone=$3
  if mount -o loop,noinit_itable "$image" "$work/mnt" 2>/dev/null; then
    mounted=yes
    (cd "$work/mnt" && tr '\n' '\0' <"$gone" | xargs -0 rm -f)
    cp -a "$stage/." "$work/mnt/"
    cat "$work/log" >>"$work/mnt/log"
    dd if="$work/database" of="$work/mnt/database" bs=4096 conv=notrunc status=none
    umount "$work/mnt"
    mounted=
  else
    {
      sed 's/.*/rm "&"/' "$gone"
      (cd "$stage" && find . -mindepth 1 -type d -printf 'mkdir "/%P"\n')
      (cd "$stage" && find . -type f -printf "cd \"/%h\"\nrm \"%f\"\nwrite \"$stage/%P\" \"%f\"\n")
      (cd "$stage" && find . -type l -printf 'cd "/%h"\nsymlink "%f" "%l"\n')
      printf 'cd "/"\nrm database\nwrite "%s" database\n' "$work/database"
    } >"$work/commands"
    debugfs -w -f "$work/commands" "$image" >/dev/null 2>&1
  fi
  e2fsck -fp -E discard "$image" >/dev/null || [ $? -le 1 ]
}

# next_state UP_TO_MIB KEEP [GONE]: the state after the newest one. Of every KEEP small files under usr/share, one is
# deleted, and besides the files that the file GONE lists.
state=1
next_state() {
  local from=$state stage
  state=$((state + 1))
  stage=$work/stage$state
  cp --sparse=always "$work/out/disk$from.raw" "$work/out/disk$state.raw"
  mkdir "$stage"
  unpack "$stage" "$1"
  (cd "$work/tree" && find usr/share -type f -size -64k | sort | awk -v keep="$2" 'NR % keep == 0') >"$work/gone"
  if [ -n "${3:-}" ]; then cat "$3" >>"$work/gone"; fi
  touch_database 200
  log_lines 1 $((20000 * state)) >"$work/log"
  change_disk "$work/out/disk$state.raw" "$stage" "$work/gone"
}

# The list of packages is missing on a fresh machine and names removed versions on one that was not updated for long.
if ! compgen -G "$cache/packages/coreutils_*.deb" >/dev/null && ! download coreutils; then
  apt-get -qq update
  download coreutils
fi

unpack "$work/tree" $((data_mib * (states == 3 ? 60 : 20) / 100))
head -c 8M /dev/zero >"$work/database"
touch_database 1000
cp "$work/database" "$work/tree/database"
truncate -s "$virtual_size" "$work/out/disk1.raw"
mke2fs -q -F -t ext4 -U 01234567-89ab-cdef-0123-456789abcdef -d "$work/tree" "$work/out/disk1.raw"
if ((states == 3)); then
  next_state $((data_mib * 80 / 100)) 5
  next_state "$data_mib" 3
else
  next_state $((data_mib * 36 / 100)) 5
  next_state $((data_mib * 50 / 100)) 3
  next_state 0 100
  next_state "$data_mib" 4
  (cd "$work/stage3" && find . -type f -printf '%P\n') >"$work/deleted"
  (cd "$work/stage5" && find . -type f -printf '%P\n' | awk 'NR % 3 == 0') >>"$work/deleted"
  next_state 0 2 "$work/deleted"
fi

if ((unpacked_kib < data_mib * 1024 * 7 / 10)); then
  echo "only $((unpacked_kib / 1024)) MiB of packages could be had" >&2
  exit 1
fi

truncate -s 256M "$work/out/fat.raw"
mkfs.vfat -n REAL -i 20140611 "$work/out/fat.raw" >/dev/null
(cd "$work/tree" && find usr -type f -size +16k -size -2M | sort | awk 'NR <= 400') | while read -r file; do
  name=${file//\//_}
  cp "$work/tree/$file" "$work/fat/${name,,}"
done
mcopy -s -Q -i "$work/out/fat.raw" "$work/fat" ::files

for image in "$work"/out/*.raw; do fallocate --dig-holes "$image"; done
echo "$made_by" >"$work/out/made-by"
rm -rf "$series"
mv "$work/out" "$series"
report
