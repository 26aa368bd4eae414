package export

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage"
)

// object is a diskimage.Sink.
type object map[int][]byte

func (o object) Part(number int, content []byte) error {
	o[number] = bytes.Clone(content)
	return nil
}

func (o object) bytes() []byte {
	var all []byte
	for n := 1; n <= len(o); n++ {
		all = append(all, o[n]...)
	}
	return all
}

// TestCommands runs the commands as the manifest tells people to, with GNU tar
// and a stand-in for ossutil, and wants a file of the format that holds the disk.
func TestCommands(t *testing.T) {
	t.Parallel()
	// A disk of 1 MiB with a hole.
	content := make([]byte, 1<<20)
	copy(content[512<<10:], "EFI PART")
	for format, packed := range map[Format]diskimage.Format{
		RAW: diskimage.TarGz, VHD: diskimage.VHD, QCOW2: diskimage.QCOW2, VDI: diskimage.VDI, VMDK: diskimage.VMDK,
	} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			x := finished(t, demoTask)
			x.Request.Format = format
			l := x.Landed["/dev/xvda"]
			l.Key = strings.TrimSuffix(l.Key, RAW.Suffix()) + format.Suffix()
			x.Landed["/dev/xvda"] = l
			system := x.Manifest().Disks[0]

			file, o := system.Key, diskimage.Options{}
			if format == RAW {
				file = strings.TrimSuffix(system.Key, ".tar.gz")
				o.Name = file
			}
			put := object{}
			w, err := diskimage.NewWriter(packed, int64(len(content)), put, o)
			if err == nil {
				_, err = w.Write(content)
			}
			if err == nil {
				err = w.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			work := follow(t, system, put.bytes())

			f, err := os.Open(filepath.Join(work, file))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			image, err := diskimage.Open(f, info.Size(), diskimage.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, image.Size())
			if _, err := image.ReadAt(got, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if string(image.Format()) != string(format) || !bytes.Equal(got, content) {
				t.Errorf("%d bytes of %s that are not the disk", len(got), image.Format())
			}
		})
	}
}

// follow runs the commands for a disk in a folder of its own and returns it.
func follow(t *testing.T, d ManifestDisk, object []byte) (work string) {
	t.Helper()
	bucket, work, bin := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(bucket, d.Key), object, 0o644)
	write(t, filepath.Join(bin, "ossutil"), []byte(`#!/bin/sh
set -eu
case "$1 $#" in
"cp 5") [ "$4 $5" = "--region cn-hangzhou" ]; cp "$BUCKET/${2#oss://image-exports/}" "$3" ;;
"hash 3") [ "$2" = crc64 ]; [ -s "$3" ]; echo "CRC64-ECMA                  : $CRC64" ;;
*) exit 2 ;;
esac
`), 0o755)
	commands := []string{d.Commands.Download, d.Commands.Check}
	if d.Commands.Unpack != "" {
		unpack := d.Commands.Unpack
		if version, err := exec.Command("tar", "--version").Output(); err != nil || !bytes.Contains(version, []byte("GNU tar")) {
			unpack = d.Commands.UnpackMac
		}
		commands = append(commands, unpack)
	}
	run := func(command, crc64 string) error {
		c := exec.Command("sh", "-c", command)
		c.Dir = work
		c.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "BUCKET="+bucket, "CRC64="+crc64)
		out, err := c.CombinedOutput()
		t.Logf("$ %s\n%s", command, out)
		return err
	}
	for _, command := range commands {
		if err := run(command, d.CRC64); err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	for _, crc := range []string{"2", "11", "91", "12"} {
		if run(d.Commands.Check, crc) == nil {
			t.Errorf("an object with checksum %s passes for one with %s", crc, d.CRC64)
		}
	}
	return work
}

func write(t *testing.T, path string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, content, mode); err != nil {
		t.Fatal(err)
	}
}
