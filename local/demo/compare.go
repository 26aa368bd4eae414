package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/local/ecs/image"
	"ecs-image-export/local/ecs/sparse"
)

// compare downloads every disk by the link that the API hands out, unpacks it
// and puts its SHA-256 beside that of the source disk.
func compare(ctx context.Context, a api, e export, dir string, source image.Image) error {
	type result struct{ got, want string }
	results := make([]result, len(e.Disks))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for i, d := range e.Disks {
		group.Go(func() (err error) {
			for _, m := range source.Disks() {
				if m.Device == d.Device {
					if results[i].want, err = sum(ctx, filepath.Join(dir, filepath.FromSlash(m.File))); err != nil {
						return err
					}
				}
			}
			if results[i].got, err = a.download(ctx, e.ID, d); err != nil {
				return fmt.Errorf("disk %s: %w", d.Device, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "   DEVICE\tSHA-256 OF THE EXPORT\tSHA-256 OF THE SOURCE\t")
	var different []string
	for i, d := range e.Disks {
		verdict := "same"
		if results[i].got != results[i].want {
			verdict = "DIFFERENT"
			different = append(different, d.Device)
		}
		fmt.Fprintf(w, "   %s\t%s\t%s\t%s\n", d.Device, results[i].got, results[i].want, verdict)
	}
	w.Flush()
	if len(e.Disks) != len(source.Disks()) {
		return fmt.Errorf("the image has %d disks, the export %d", len(source.Disks()), len(e.Disks))
	}
	if len(different) > 0 {
		return errors.New("different content: " + strings.Join(different, ", "))
	}
	step("the same: %d of %d disks", len(e.Disks), len(e.Disks))
	return nil
}

// sum is the SHA-256 of a file.
func sum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := sparse.NewReader(f) // holes are not read from the disk
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, stoppable{ctx, content}); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// stoppable ends with its context: a disk takes long to read.
type stoppable struct {
	ctx context.Context
	io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// download follows the API's link to a disk's object, checks the object's CRC-64
// and returns the SHA-256 of the disk in it. Nothing is kept.
func (a api) download(ctx context.Context, id string, d disk) (string, error) {
	link, err := a.link(ctx, "/exports/"+id+"/disks/"+strings.TrimPrefix(d.Device, "/dev/")+"/download")
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return "", fmt.Errorf("download: %s\n%s", resp.Status, b)
	}
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	body := io.TeeReader(resp.Body, crc)
	unpacked, err := unpack(body)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		return "", err
	}
	if got := strconv.FormatUint(crc.Sum64(), 10); got != d.CRC64 {
		return "", fmt.Errorf("CRC-64 is %s, the catalog says %s", got, d.CRC64)
	}
	return unpacked, nil
}

// link asks the API for a signed link. The token is for the API alone, so the
// redirect is not followed with it.
func (a api) link(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+path, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusFound {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return "", fmt.Errorf("%s: %s\n%s", path, resp.Status, b)
	}
	return resp.Header.Get("Location"), nil
}

// unpack returns the SHA-256 of the one file in a .tar.gz.
func unpack(r io.Reader) (string, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return "", err
	}
	archive := tar.NewReader(z)
	header, err := archive.Next()
	if err != nil {
		return "", err
	}
	if !strings.HasSuffix(header.Name, ".raw") {
		return "", fmt.Errorf("the archive holds %q, not a .raw file", header.Name)
	}
	h := sha256.New()
	if _, err := io.Copy(h, archive); err != nil {
		return "", err
	}
	if _, err := archive.Next(); err != io.EOF {
		return "", errors.New("the archive holds more than one file")
	}
	_, err = io.Copy(io.Discard, z)
	return hex.EncodeToString(h.Sum(nil)), err
}
