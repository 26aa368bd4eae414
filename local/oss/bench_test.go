package oss

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"go.etcd.io/bbolt"
)

// BenchmarkStore is the path of a body to disk with both hashes, without HTTP.
func BenchmarkStore(b *testing.B) {
	c := start(b)
	data := randomBytes(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w, err := c.blobs.write(bytes.NewReader(data), maxPut)
		if err != nil {
			b.Fatal(err)
		}
		c.blobs.remove(w.id)
	}
}

// BenchmarkPut16MiB and BenchmarkGet16MiB go through the SDK, so they hold the
// client's own cost, CRC-64 among it.
func BenchmarkPut16MiB(b *testing.B) {
	c := start(b)
	client := c.withBucket(b, "data")
	data := randomBytes(16 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := client.PutObject(b.Context(), &v2.PutObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k"), Body: bytes.NewReader(data)}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet16MiB(b *testing.B) {
	c := start(b)
	client := c.withBucket(b, "data")
	put(b, client, "data", "k", string(randomBytes(16<<20)))
	b.SetBytes(16 << 20)
	for b.Loop() {
		r, err := client.GetObject(b.Context(), &v2.GetObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("k")})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			b.Fatal(err)
		}
		r.Body.Close()
	}
}

// BenchmarkAppend adds a line to one object again and again.
func BenchmarkAppend(b *testing.B) {
	c := start(b)
	client := c.withBucket(b, "data")
	line := bytes.Repeat([]byte("x"), 500)
	position := int64(0)
	for b.Loop() {
		res, err := client.AppendObject(b.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("log"), Position: &position, Body: bytes.NewReader(line)})
		if err != nil {
			b.Fatal(err)
		}
		position = res.NextPosition
	}
}

func BenchmarkPutSmall(b *testing.B) {
	c := start(b)
	client := c.withBucket(b, "data")
	i := 0
	for b.Loop() {
		i++
		put(b, client, "data", fmt.Sprint("k", i), "x")
	}
}

// BenchmarkListGroups lists the ten common prefixes of 100,000 objects.
func BenchmarkListGroups(b *testing.B) {
	c := start(b)
	c.withBucket(b, "data")
	err := c.db.Update(func(tx *bbolt.Tx) error {
		for i := range 100_000 {
			if err := saveObject(tx, "data", fmt.Sprintf("%d/%06d", i%10, i), &object{Type: typeNormal}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		err := c.db.View(func(tx *bbolt.Tx) error {
			p, err := listPage(objectsOf(tx, "data"), "", "/", "", 1000, nil)
			if len(p.prefixes) != 10 {
				b.Errorf("%d groups", len(p.prefixes))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
