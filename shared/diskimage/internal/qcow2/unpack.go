package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// unpacker decompresses clusters. It may be used by several goroutines.
type unpacker struct {
	zstd    *zstd.Decoder // nil: zlib
	inflate sync.Pool     // of *inflater
}

type inflater struct {
	source bytes.Reader
	reader io.ReadCloser
}

func newUnpacker(h *header) (*unpacker, error) {
	u := &unpacker{}
	if h.compression == compressionZstd {
		var err error
		// The content of a cluster never grows over its buffer.
		u.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(0),
			zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
	}
	return u, nil
}

// unpack fills cluster from packed, whose end may not belong to it.
func (u *unpacker) unpack(cluster, packed []byte) error {
	if u.zstd != nil {
		return u.unpackZstd(cluster, packed)
	}
	f, _ := u.inflate.Get().(*inflater)
	if f == nil {
		f = &inflater{}
		f.reader = flate.NewReader(&f.source)
	}
	defer u.inflate.Put(f)
	f.source.Reset(packed)
	if err := f.reader.(flate.Resetter).Reset(&f.source, nil); err != nil {
		return err
	}
	_, err := io.ReadFull(f.reader, cluster)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// unpackZstd decodes frames until the cluster is full. The decoder wants to be
// given whole frames, so their ends are found first.
func (u *unpacker) unpackZstd(cluster, packed []byte) error {
	done := cluster[:0:len(cluster)]
	for len(done) < len(cluster) {
		n, err := frameLength(packed)
		if err != nil {
			return err
		}
		if done, err = u.zstd.DecodeAll(packed[:n], done); err != nil {
			return err
		}
		packed = packed[n:]
	}
	return nil
}

// frameLength is the length of the zstd frame at the start of b (RFC 8878,
// section 3.1).
func frameLength(b []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return 0, err
	}
	if h.Skippable {
		if int64(h.HeaderSize)+int64(h.SkippableSize) > int64(len(b)) {
			return 0, io.ErrUnexpectedEOF
		}
		return h.HeaderSize + int(h.SkippableSize), nil
	}
	n := h.HeaderSize
	for {
		if len(b) < n+3 {
			return 0, io.ErrUnexpectedEOF
		}
		block := int(binary.LittleEndian.Uint16(b[n:])) | int(b[n+2])<<16
		n += 3
		switch size := block >> 3; block >> 1 & 3 {
		case 1: // one byte, repeated
			n++
		case 3:
			return 0, errors.New("zstd: reserved block type")
		default:
			n += size
		}
		if block&1 != 0 {
			break
		}
	}
	if h.HasCheckSum {
		n += 4
	}
	if n > len(b) {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// task is a cluster to be decompressed.
type task struct {
	cluster []byte
	packed  func() ([]byte, error)
	offset  int64 // of the cluster on the disk, for errors
}

// unpackAll does the tasks on all cores. It returns when all have ended, with the
// error of the first one, in order, that failed.
func (u *unpacker) unpackAll(tasks []task) error {
	errs := make([]error, len(tasks))
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(tasks) {
				return
			}
			errs[i] = u.do(tasks[i])
		}
	}
	var others sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(tasks)) - 1 {
		others.Go(work)
	}
	work()
	others.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) do(t task) error {
	packed, err := t.packed()
	if err != nil {
		return err
	}
	if err := u.unpack(t.cluster, packed); err != nil {
		return badf("compressed cluster at %#x of the disk: %w", t.offset, err)
	}
	return nil
}
