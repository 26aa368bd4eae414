package diskimage_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"os"

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

// A file on this machine is converted, both cores reading.
func ExampleCopyImage() {
	in, err := os.CreateTemp("", "disk")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(in.Name())
	if err := in.Truncate(10 << 20); err != nil {
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
	fmt.Println(info.Size() <= 2<<20, err)
	// Output: true <nil>
}
