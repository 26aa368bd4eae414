package sample

import (
	"fmt"
	"os"
)

const osRelease = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
`

const fstab = `# <file system> <mount point> <type> <options> <dump> <pass>
UUID=` + rootUUID + ` /     ext4 defaults        1 1
UUID=` + dataUUID + ` /data ext4 defaults,nofail 0 2
`

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
ops:x:1000:1000:operator:/home/ops:/bin/sh
`

const hosts = `127.0.0.1 localhost
127.0.1.1 demo-web-server
::1       localhost ip6-localhost
`

const grub = `set default=0
menuentry "Debian GNU/Linux" {
  search --no-floppy --fs-uuid --set=root ` + rootUUID + `
  linux /boot/vmlinuz root=UUID=` + rootUUID + ` ro console=ttyS0
  initrd /boot/initrd.img
}
`

// system fills the root file system: some 40 MiB, from noise to prose.
func (t *tree) system() {
	t.mkdir(0o755, "/boot", "/boot/grub", "/data", "/dev", "/etc", "/etc/cloud", "/home", "/home/ops", "/mnt", "/opt",
		"/opt/app", "/proc", "/run", "/srv", "/sys", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share",
		"/usr/share/doc", "/var", "/var/lib", "/var/lib/app", "/var/log")
	t.mkdir(0o700, "/root")
	t.mkdir(os.ModeSticky|0o777, "/tmp")
	t.symlink("usr/bin", "/bin")
	t.symlink("usr/lib", "/lib")
	t.symlink("usr/sbin", "/sbin")

	t.text("/etc/fstab", fstab)
	t.text("/usr/lib/os-release", osRelease)
	t.symlink("../usr/lib/os-release", "/etc/os-release")
	t.text("/etc/hostname", "demo-web-server\n")
	t.text("/etc/hosts", hosts)
	t.text("/etc/passwd", passwd)
	t.text("/etc/group", "root:x:0:\ndaemon:x:1:\nops:x:1000:\n")
	t.text("/etc/cloud/cloud.cfg", "datasource_list: [ AliYun, None ]\n")
	t.text("/boot/grub/grub.cfg", grub)
	t.file("/boot/vmlinuz", 0o644, random(1, 8<<20))
	t.file("/boot/initrd.img", 0o600, random(2, 9<<20))

	for i := range uint64(24) {
		t.file(fmt.Sprintf("/usr/bin/tool-%02d", i), 0o755, binaryLike(100+i, 256<<10+int(i)*4099))
	}
	t.link("/usr/bin/tool-00", "/usr/bin/tool")
	for i := range uint64(150) {
		t.mkdir(0o755, fmt.Sprintf("/usr/share/doc/package-%03d", i))
		t.file(fmt.Sprintf("/usr/share/doc/package-%03d/README", i), 0o644, prose(1000+i, 2000+int(i)*211))
	}
	t.file("/opt/app/app", 0o755, binaryLike(3, 6<<20))
	t.file("/var/log/app.log", 0o640, log(4, 60_000))
	t.file("/var/log/empty.log", 0o644, prose(0, 0))
	t.sparse("/var/lib/app/state.img", 300<<20)
	t.text("/home/ops/notes.txt", "The data disk holds /data; the third disk is a spare.\n")
}

// data fills the file system that is mounted at /data.
func (t *tree) data() {
	t.mkdir(0o755, "/reports", "/uploads")
	t.text("/README", "Data of the demo web server.\n")
	for i := range uint64(12) {
		t.file(fmt.Sprintf("/reports/2026-%02d.csv", i+1), 0o644, log(200+i, 4_000))
	}
	for i := range uint64(6) {
		t.file(fmt.Sprintf("/uploads/photo-%d.jpg", i), 0o644, random(300+i, 1<<20))
	}
	t.sparse("/uploads/volume.img", 64<<20)
	t.symlink("reports/2026-12.csv", "/latest.csv")
}
