package oss

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc64"
	"os"
	"os/exec"
	"strings"
	"testing"

	v2 "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"go.etcd.io/bbolt"
)

const crashDir = "OSS_CRASH_DIR"

// TestCrashChild is the process that TestKilledWhileWriting kills: it writes
// without end, and says so line by line.
func TestCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("started by TestKilledWhileWriting")
	}
	s, err := Open(Config{Dir: dir, AccountID: testAccount, Region: testRegion, Identities: people{}})
	if err != nil {
		t.Fatal(err)
	}
	c := serve(t, s)
	client := c.withBucket(t, "data")
	go func() {
		for i := 0; ; i++ {
			put(t, client, "data", fmt.Sprint("put/", i%5), string(randomBytes(i%7*50_000)))
			fmt.Println("wrote")
		}
	}()
	go func() {
		for i := 0; ; i++ {
			key := fmt.Sprint("multi/", i%3)
			id := initiate(t, client, "data", key)
			parts := uploadParts(t, client, "data", key, id, map[int][]byte{1: randomBytes(minPart), 2: randomBytes(i)})
			if _, err := complete(t, client, "data", key, id, parts); err != nil {
				t.Error(err)
			}
			fmt.Println("wrote")
		}
	}()
	position := int64(0)
	for {
		res, err := client.AppendObject(t.Context(), &v2.AppendObjectRequest{Bucket: v2.Ptr("data"), Key: v2.Ptr("log"), Position: &position, Body: strings.NewReader("a line\n")})
		if err != nil {
			t.Fatal(err)
		}
		position = res.NextPosition
		fmt.Println("appended", position)
	}
}

func TestKilledWhileWriting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$", "-test.v")
		child.Env = append(os.Environ(), crashDir+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		appended, lines := int64(0), 0
		for scan := bufio.NewScanner(out); lines < 150+37*round && scan.Scan(); lines++ {
			_, _ = fmt.Sscanf(scan.Text(), "appended %d", &appended)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait()
		if lines < 150 {
			t.Fatalf("the child ended after %d lines", lines)
		}
		checkAll(t, dir, appended)
	}
}

// checkAll opens what a killed process left and reads every object of it.
func checkAll(t *testing.T, dir string, appended int64) {
	t.Helper()
	s, err := Open(Config{Dir: dir, AccountID: testAccount, Region: testRegion, Identities: people{}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var keys []string
	err = s.db.View(func(tx *bbolt.Tx) error {
		return objectsOf(tx, "data").ForEach(func(k, v []byte) error {
			keys = append(keys, string(k))
			return json.Unmarshal(v, &object{})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		o, err := s.open("data", key, "")
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if err := s.blobs.copyTo(&content, o.segments, 0, o.Size); err != nil {
			t.Errorf("%s: %v", key, err)
		}
		s.blobs.unpin(o.segments)
		if int64(content.Len()) != o.Size || crc64.Checksum(content.Bytes(), crcTable) != o.CRC64 {
			t.Errorf("%s is half there: %d bytes of %d", key, content.Len(), o.Size)
		}
		if key == "log" {
			if o.Size < appended {
				t.Errorf("an append that was answered is gone: %d bytes, %d were answered", o.Size, appended)
			}
			if err := s.db.Update(func(tx *bbolt.Tx) error {
				_, err := deleteObject(tx, "data", key, o.object)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
