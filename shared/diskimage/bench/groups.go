package main

import (
	"fmt"
	"strings"
)

// group is a work and who does it. The first is ours; the others are what it is
// measured against.
type group struct {
	name    string
	virtual int64 // bytes of disk; 0: the disk that is converted
	works   []entry
	check   string // fails if OUT is not the disk; "": it is not looked at
}

// entry is a command for sh, run in the folder of the disk. OUT is what it
// makes, SELF this program.
type entry struct {
	name    string
	command string
}

func ours(args string) string { return "SELF " + workCommand + " " + args }

func groups() []group {
	var all []group
	for _, f := range []struct{ ours, qemu string }{{"qcow2", "qcow2"}, {"vhd", "vpc"}, {"vdi", "vdi"}} {
		all = append(all, group{name: "raw -> " + f.ours, check: same(f.qemu), works: []entry{
			{name: "diskimage", command: ours("convert disk.raw " + f.ours + " OUT")},
			{name: "qemu-img convert", command: "qemu-img convert -f raw -O " + f.qemu + " disk.raw OUT"},
		}})
	}
	all = append(all,
		compressed("raw -> vmdk streamOptimized", "vmdk", "vmdk", "-O vmdk -o subformat=streamOptimized"),
		compressed("raw -> qcow2 zlib", "qcow2:zlib", "qcow2", "-c -O qcow2"),
		compressed("raw -> qcow2 zstd", "qcow2:zstd", "qcow2", "-c -O qcow2 -o compression_type=zstd"),
		group{name: "raw -> raw.tar.gz", check: "tar xzOf OUT | cmp - disk.raw", works: []entry{
			{name: "diskimage", command: ours("convert disk.raw raw.tar.gz OUT")},
			{name: "diskimage, sparse", command: ours("convert disk.raw raw.tar.gz:sparse OUT")},
			{name: "diskimage, level 1", command: ours("convert disk.raw raw.tar.gz:level1 OUT")},
			{name: "tar cz", command: "tar czf OUT disk.raw"},
			{name: "tar | pigz", command: "tar cf - disk.raw | pigz > OUT"},
		}},
		group{name: "raw.tar.gz -> content thrown away", works: []entry{
			{name: "diskimage", command: ours("inflate disk.raw.tar.gz")},
			{name: "klauspost/compress gzip", command: ours("inflate-klauspost disk.raw.tar.gz")},
			{name: "compress/gzip", command: ours("inflate-std disk.raw.tar.gz")},
			{name: "gzip -dc", command: "gzip -dc disk.raw.tar.gz > /dev/null"},
			{name: "pigz -dc", command: "pigz -dc disk.raw.tar.gz > /dev/null"},
			{name: "libdeflate-gunzip", command: "libdeflate-gunzip -c disk.raw.tar.gz > /dev/null"},
			{name: "igzip -dc", command: "igzip -dc disk.raw.tar.gz > /dev/null"},
		}},
	)
	for _, f := range []struct{ ours, qemu string }{{"qcow2", "qcow2"}, {"vhd", "vpc"}, {"vdi", "vdi"}} {
		all = append(all, group{name: "raw.tar.gz -> " + f.ours, check: same(f.qemu), works: []entry{
			{name: "diskimage", command: ours("convert disk.raw.tar.gz " + f.ours + " OUT")},
			{name: "decompressing alone", command: ours("inflate disk.raw.tar.gz")},
			{name: "tar xO > file, qemu-img", command: "tar xzOf disk.raw.tar.gz > OUT.raw && qemu-img convert -f raw -O " + f.qemu + " OUT.raw OUT; rm -f OUT.raw"},
		}})
	}
	const large = 500 << 30
	for _, f := range []struct{ name, check string }{
		{"qcow2", sound("qcow2")}, {"qcow2:zstd", sound("qcow2")}, {"vhd", ""}, {"vdi", sound("vdi")},
		{"vmdk", sound("vmdk")}, {"vmdk:monolithicSparse", sound("vmdk")}, {"raw.tar.gz", ""}, {"raw.tar.gz:sparse", ""},
	} {
		all = append(all, group{name: "500 GiB sparse -> " + f.name, virtual: large, check: f.check, works: []entry{
			{name: "diskimage", command: ours(fmt.Sprintf("sparse %d %s OUT", int64(large), f.name))},
		}})
	}
	for _, f := range []string{"qcow2", "vhd", "vdi"} {
		all = append(all, group{name: "500 GiB sparse -> raw.tar.gz:sparse -> " + f, virtual: large, works: []entry{
			{name: "diskimage", command: ours(fmt.Sprintf("sparse %d raw.tar.gz:sparse large", int64(large))) + "; " + ours("convert large "+f+" OUT") + "; rm large"},
		}})
	}
	return all
}

// same compares OUT with the disk; qemu-img's VHDs have some zeros more.
func same(format string) string { return "qemu-img compare -f raw -F " + format + " disk.raw OUT" }

// sound looks for damage; qemu-img cannot do that with VHDs.
func sound(format string) string { return "qemu-img check -f " + format + " OUT" }

// compressed has the row of qemu-img with its threads too.
func compressed(name, format, read, qemu string) group {
	return group{name: name, check: same(read), works: []entry{
		{name: "diskimage", command: ours("convert disk.raw " + format + " OUT")},
		{name: "qemu-img convert", command: strings.Join([]string{"qemu-img convert -f raw", qemu, "disk.raw OUT"}, " ")},
		{name: "qemu-img convert -W -m 8", command: strings.Join([]string{"qemu-img convert -W -m 8 -f raw", qemu, "disk.raw OUT"}, " ")},
	}}
}
