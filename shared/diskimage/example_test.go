package diskimage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"strings"

	"ecs-image-export/shared/diskimage"
)

// upload stands for a multipart upload: it takes parts in any order.
type upload map[int][]byte

func (u upload) Part(number int, content []byte) error {
	u[number] = bytes.Clone(content)
	return nil
}

// complete puts the parts together, as the object store does it.
func (u upload) complete() []byte {
	var object []byte
	for n := 1; n <= len(u); n++ {
		object = append(object, u[n]...)
	}
	return object
}

// A disk of 1 GiB with a few bytes in it becomes a small VHD.
func ExampleNewWriter() {
	u := upload{}
	w, err := diskimage.NewWriter(diskimage.VHD, 1<<30, u, diskimage.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Skip(512 << 20); err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, "in the middle"); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	object := u.complete()
	img, err := diskimage.Open(bytes.NewReader(object), int64(len(object)), diskimage.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 13)
	if _, err := img.ReadAt(b, 512<<20); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %d bytes: %q\n", img.Format(), img.Size(), b)
	for e, err := range img.Extents() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Kind, e.Offset>>20, "MiB, length", e.Length>>20, "MiB")
	}
	// Output:
	// vhd of 1073741824 bytes: "in the middle"
	// absent 0 MiB, length 512 MiB
	// data 512 MiB, length 2 MiB
	// absent 514 MiB, length 510 MiB
}

// An archive as ECS exports it becomes a QCOW2 image in one pass: neither has to
// be stored.
func ExampleCopy() {
	archive := upload{}
	w, err := diskimage.NewWriter(diskimage.TarGz, 64<<20, archive, diskimage.Options{Name: "m-1_system.raw"})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, "boot sector"); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	s, err := diskimage.NewStream(bytes.NewReader(archive.complete()), diskimage.Limits{Size: 1 << 40})
	if err != nil {
		log.Fatal(err)
	}
	image := upload{}
	q, err := diskimage.NewWriter(diskimage.QCOW2, s.Size(), image, diskimage.Options{Compression: "zstd"})
	if err != nil {
		log.Fatal(err)
	}
	if err := diskimage.Copy(q, s); err != nil {
		log.Fatal(err)
	}
	if err := q.Close(); err != nil {
		log.Fatal(err)
	}

	object := image.complete()
	f, err := diskimage.Detect(bytes.NewReader(object), int64(len(object)))
	fmt.Println(s.Format(), "->", f, err)
	// Output: raw.tar.gz -> qcow2 <nil>
}

// A file on this machine is converted, all cores reading.
func ExampleCopyImage() {
	in, err := os.CreateTemp("", "disk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(in.Name())
	defer in.Close()
	if _, err := in.WriteAt([]byte("at the end"), 10<<20-10); err != nil {
		log.Fatal(err)
	}
	img, err := diskimage.OpenAs(diskimage.RAW, in, 10<<20, diskimage.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	out, err := os.CreateTemp("", "disk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	w, err := diskimage.NewWriter(diskimage.VDI, img.Size(), diskimage.NewFile(out), diskimage.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := diskimage.CopyImage(w, img); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	info, err := out.Stat()
	if err != nil {
		log.Fatal(err)
	}
	vdi, err := diskimage.Open(out, info.Size(), diskimage.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 10)
	if _, err := vdi.ReadAt(b, vdi.Size()-10); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %d bytes in a file of %d: %q\n", vdi.Format(), vdi.Size(), info.Size(), b)
	// Output: vdi of 10485760 bytes in a file of 2097152: "at the end"
}

// RAW says nothing about itself, so whoever reads a stream of it brings its size.
func ExampleNewRAWStream() {
	content := io.MultiReader(strings.NewReader("boot sector"), bytes.NewReader(make([]byte, 1<<20-11)))
	s, err := diskimage.NewRAWStream(content, 1<<20, diskimage.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	object := upload{}
	w, err := diskimage.NewWriter(diskimage.VMDK, s.Size(), object, diskimage.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := diskimage.Copy(w, s); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	file := object.complete()
	f, err := diskimage.Detect(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Format(), "->", f)
	// Output: raw -> vmdk
}

// A few bytes claim to be a disk of 8 EiB. Limits refuse it before memory or time
// is spent on it.
func ExampleLimits() {
	header := make([]byte, 64<<10)
	copy(header, "QFI\xfb\x00\x00\x00\x02")                 // QCOW2, version 2
	binary.BigEndian.PutUint32(header[20:], 16)             // clusters of 64 KiB
	binary.BigEndian.PutUint64(header[24:], math.MaxInt64)  // size of the disk
	binary.BigEndian.PutUint32(header[36:], math.MaxUint32) // entries of the L1 table

	_, err := diskimage.Open(bytes.NewReader(header), int64(len(header)), diskimage.Limits{Size: 2 << 40})
	fmt.Println(errors.Is(err, diskimage.ErrLimit))
	fmt.Println(err)
	// Output:
	// true
	// qcow2: the disk has 9223372036854775807 bytes, 2199023255552 are allowed: disk image exceeds a limit
}

// Two clusters of a disk lie in one place of the file. Open, which reads none of
// the tables that say so, cannot know.
func ExampleCheck() {
	object := upload{}
	w, err := diskimage.NewWriter(diskimage.QCOW2, 1<<20, object, diskimage.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.WriteString(w, strings.Repeat("content ", 16<<10)); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}
	file := object.complete()
	const first, second = 0x30000, 0x30008 // where the table has the disk's first clusters
	copy(file[second:][:8], file[first:])

	img, err := diskimage.Open(bytes.NewReader(file), int64(len(file)), diskimage.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(diskimage.Check(img))
	// Output: qcow2: two clusters of the disk have the cluster at offset 0x50000: not a valid disk image
}
