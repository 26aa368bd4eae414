package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// Offsets in the file of small: header, L1, refcount table, L2, refcount block.
const (
	smallL1, smallRefTable, smallL2, smallBlock, smallData = 1 << 16, 2 << 16, 3 << 16, 4 << 16, 5 << 16
)

// small is an image of four clusters.
func small(t testing.TB, c Compression) []byte {
	t.Helper()
	return write(t, bytes.Repeat([]byte("four clusters of content\n"), 4<<16/25), Options{Compression: c})
}

// readAll reads an image in all ways. The errors are those of random access and of
// the stream.
func readAll(file []byte, l disk.Limits) (open, stream error) {
	open = func() error {
		m, err := Open(bytes.NewReader(file), int64(len(file)), l)
		if err != nil {
			return err
		}
		for e, err := range m.Extents() {
			if err != nil {
				return err
			}
			if e.Kind == disk.Data {
				if _, err := m.ReadAt(make([]byte, min(e.Length, 300<<10)), e.Offset); err != nil {
					return err
				}
			}
		}
		return m.Check()
	}()
	stream = func() error {
		s, err := NewStream(bytes.NewReader(file), l)
		for err == nil {
			_, err = s.Next()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}()
	return open, stream
}

func TestHostileImages(t *testing.T) {
	t.Parallel()
	u32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	u64 := func(at int, v uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint64(b[at:], v); return b }
	}
	both := func(f, g func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return g(f(b)) }
	}
	const anyStream = "any" // a stream cannot see this
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
		says   string
		stream string
	}{
		"version 1":               {u32(4, 1), disk.ErrUnsupported, "version 1", ""},
		"version 4":               {u32(4, 4), disk.ErrUnsupported, "version 4", ""},
		"backing file":            {u64(8, 600), disk.ErrUnsupported, "backing file", ""},
		"data file":               {u64(72, 4), disk.ErrUnsupported, "external data file", ""},
		"unknown feature":         {u64(72, 1<<9), disk.ErrUnsupported, "bit 9", ""},
		"AES":                     {u32(32, 1), disk.ErrUnsupported, "AES", ""},
		"LUKS":                    {u32(32, 2), disk.ErrUnsupported, "LUKS", ""},
		"corrupt":                 {u64(72, 2), disk.ErrFormat, "marked corrupt", ""},
		"compression 2":           {both(u64(72, 8), func(b []byte) []byte { b[104] = 2; return b }), disk.ErrUnsupported, "compression type 2", ""},
		"compression without bit": {func(b []byte) []byte { b[104] = 1; return b }, disk.ErrFormat, "compression_type", ""},
		"cluster_bits 8":          {u32(20, 8), disk.ErrFormat, "cluster_bits", ""},
		"cluster_bits 30":         {u32(20, 30), disk.ErrFormat, "cluster_bits", ""},
		"size":                    {u64(24, 1<<63), disk.ErrFormat, "size", ""},
		"large disk":              {u64(24, 1<<50), disk.ErrLimit, "bytes", ""},
		"short L1":                {u64(24, 1<<40), disk.ErrFormat, "L1 table has", ""},
		"long L1":                 {both(u64(24, 1<<46), u32(36, 1<<17)), disk.ErrFormat, "", anyStream},
		"refcount_order":          {u32(96, 7), disk.ErrFormat, "refcount_order", ""},
		"header_length":           {u32(100, 103), disk.ErrFormat, "header_length", ""},
		"L1 not aligned":          {u64(40, 100), disk.ErrFormat, "L1 table", ""},
		"L1 outside":              {u64(40, 1<<40), disk.ErrFormat, "outside|inside", ""},
		"L1 on header":            {u64(40, 0), disk.ErrFormat, "L1 table", ""},
		"refcount table outside":  {u64(48, 1<<40), disk.ErrFormat, "inside", ""},
		"no refcount table":       {u32(56, 0), disk.ErrFormat, "no refcount table", ""},
		"large refcount table":    {u32(56, 1<<31), disk.ErrLimit, "refcount table", ""},
		"L1 reserved":             {u64(smallL1, 1<<60|smallL2), disk.ErrFormat, "L1 table", ""},
		"L2 outside":              {u64(smallL1, 1<<40), disk.ErrFormat, "outside", ""},
		"L2 on header table":      {u64(smallL1, smallRefTable), disk.ErrFormat, "another table", ""},
		"block outside":           {u64(smallRefTable, 1<<40), disk.ErrFormat, "outside", ""},
		"block not aligned":       {u64(smallRefTable, smallBlock+8), disk.ErrFormat, "refcount table", ""},
		"block on L2":             {u64(smallRefTable, smallL2), disk.ErrFormat, "another table", ""},
		"refcount 0":              {func(b []byte) []byte { clear(b[smallBlock:smallData]); return b }, disk.ErrFormat, "refcount is 0", anyStream},
		"cluster outside":         {u64(smallL2, 1<<40), disk.ErrFormat, "outside", ""},
		"cluster not aligned":     {u64(smallL2, smallData+512), disk.ErrFormat, "aligned", ""},
		"cluster reserved":        {u64(smallL2, smallData|4), disk.ErrFormat, "reserved", ""},
		"cluster on L2":           {u64(smallL2, smallL2), disk.ErrFormat, "on a table", ""},
		"cluster twice":           {u64(smallL2+8, smallData), disk.ErrFormat, "two clusters", ""},
		"packed outside":          {u64(smallL2, bitPacked|1<<40), disk.ErrFormat, "outside", ""},
		"packed on L2":            {u64(smallL2, bitPacked|smallL2), disk.ErrFormat, "on a table", ""},
		"packed on plain":         {u64(smallL2, bitPacked|smallData+1<<16), disk.ErrFormat, "", ""},
		"packed noise":            {u64(smallL2, bitPacked|smallData), disk.ErrFormat, "compressed cluster at 0x0", ""},
		"block on content":        {u64(smallRefTable, smallData), disk.ErrFormat, "on a table", ""},
		"short":                   {func(b []byte) []byte { return b[:50] }, disk.ErrFormat, "too short", ""},
		"empty":                   {func(b []byte) []byte { return nil }, disk.ErrFormat, "", ""},
		"cut in the tables":       {func(b []byte) []byte { return b[:smallL2+100] }, disk.ErrFormat, "outside", ""},
		"cut in the data":         {func(b []byte) []byte { return b[:smallData+1<<16] }, disk.ErrFormat, "outside", ""},
		"last byte cut":           {func(b []byte) []byte { return b[:smallData+4<<16-20] }, disk.ErrFormat, "outside", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open, stream := readAll(c.change(small(t, None)), disk.Limits{})
			if !errors.Is(open, c.want) || !slices.ContainsFunc(strings.Split(c.says, "|"), func(s string) bool { return strings.Contains(open.Error(), s) }) {
				t.Errorf("random access: %v; want %v saying %q", open, c.want, c.says)
			}
			if c.stream != anyStream && !errors.Is(stream, c.want) {
				t.Errorf("stream: %v; want %v", stream, c.want)
			}
		})
	}
}

// Where tables do not lie in front, a stream has to find at the end what lies on
// them.
func TestRefcountTableBehindContent(t *testing.T) {
	t.Parallel()
	file := small(t, None)
	end := int64(len(file))
	file = append(file, make([]byte, 2<<16)...)
	copy(file[end:], file[smallRefTable:smallRefTable+1<<16])
	binary.BigEndian.PutUint64(file[48:], uint64(end))
	if open, stream := readAll(file, disk.Limits{}); open == nil || stream != nil {
		t.Errorf("moved: %v, %v", open, stream) // the clusters moved to are not counted
	}
	for name, block := range map[string]int64{"on content": smallData, "on L2": smallL2, "on itself": end, "outside": end + 2<<16} {
		binary.BigEndian.PutUint64(file[end:], uint64(block))
		if open, stream := readAll(file, disk.Limits{}); !errors.Is(open, disk.ErrFormat) || !errors.Is(stream, disk.ErrFormat) {
			t.Errorf("%s: %v, %v", name, open, stream)
		}
	}
	binary.BigEndian.PutUint64(file[end:], smallBlock)
	binary.BigEndian.PutUint32(file[56:], 3)
	if open, stream := readAll(file, disk.Limits{}); !errors.Is(open, disk.ErrFormat) || !errors.Is(stream, disk.ErrFormat) {
		t.Errorf("longer than the file: %v, %v", open, stream)
	}
}

// Clusters that share a place are found by ReadAt, whichever is read first, if no
// Extents went before.
func TestReadAtFindsOverlaps(t *testing.T) {
	t.Parallel()
	content := make([]byte, 192*512) // in three tables of 64
	for i := range content {
		content[i] = byte(i/512 + i*i%17)
	}
	// Compressed clusters of some sectors; those of content have a part of one.
	long := make([]byte, 130*4096) // tables have 512
	_, _ = rand.NewChaCha8([32]byte{1}).Read(long)
	for i := range long {
		long[i] &= 0x3f
	}
	for _, c := range []struct {
		compression Compression
		size        int
		a, b        int64 // clusters that get one place
	}{
		{None, 512, 3, 4}, {None, 512, 3, 100}, {None, 512, 60, 190}, {Zlib, 4096, 3, 4}, {Zstd, 4096, 60, 120},
		{Zlib, 512, 3, 4}, {Zlib, 512, 3, 100}, {Zstd, 512, 60, 190},
	} {
		size, data := c.size, content
		if size == 4096 {
			data = long
		}
		file := write(t, data, Options{Compression: c.compression, ClusterSize: size})
		m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		place := func(n int64) int64 {
			return int64(m.l1[n/m.l2Entries()]&maskOffset) + n%m.l2Entries()*8
		}
		copy(file[place(c.a):][:8], file[place(c.b):][:8])
		for _, order := range [][2]int64{{c.a, c.b}, {c.b, c.a}} {
			m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var errs []error
			for _, n := range order {
				_, err := m.ReadAt(make([]byte, 100), n*int64(size))
				errs = append(errs, err)
			}
			if err := errors.Join(errs...); !errors.Is(err, disk.ErrFormat) || !strings.Contains(err.Error(), "two") {
				t.Errorf("%s of %d, clusters %d: %v", c.compression, size, order, err)
			}
		}
		if open, stream := readAll(file, disk.Limits{}); !errors.Is(open, disk.ErrFormat) || !errors.Is(stream, disk.ErrFormat) && !errors.Is(stream, disk.ErrOrder) {
			t.Errorf("%s of %d, clusters %d and %d: %v; stream: %v", c.compression, size, c.a, c.b, open, stream)
		}
	}
}

func TestHostileCompressedClusters(t *testing.T) {
	t.Parallel()
	for _, c := range []Compression{Zlib, Zstd} {
		file := small(t, c)
		for at := smallData; at < smallData+40; at += 3 {
			changed := slices.Clone(file)
			changed[at] ^= 0xff
			// A change need not be seen, as nothing sums the content up.
			open, stream := readAll(changed, disk.Limits{})
			for _, err := range []error{open, stream} {
				if err != nil && !errors.Is(err, disk.ErrFormat) {
					t.Errorf("%s, byte %d: %v", c, at-smallData, err)
				}
			}
		}
		clear(file[smallData:])
		if open, stream := readAll(file, disk.Limits{}); !errors.Is(open, disk.ErrFormat) || !errors.Is(stream, disk.ErrFormat) {
			t.Errorf("%s, zeros: %v, %v", c, open, stream)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	file := small(t, None)
	for _, l := range []disk.Limits{{Size: 1 << 17}, {Memory: 4}} {
		if open, stream := readAll(file, l); !errors.Is(open, disk.ErrLimit) || !errors.Is(stream, disk.ErrLimit) {
			t.Errorf("%+v: %v, %v", l, open, stream)
		}
	}
}

func TestStreamWantsOrder(t *testing.T) {
	t.Parallel()
	// The first and the last cluster change places, over 16 MiB.
	content := bytes.Repeat([]byte("some content"), 24<<20/12)
	file := write(t, content, Options{})
	first := binary.BigEndian.Uint64(file[smallL2:])
	last := binary.BigEndian.Uint64(file[smallL2+8*383:])
	binary.BigEndian.PutUint64(file[smallL2:], last)
	binary.BigEndian.PutUint64(file[smallL2+8*383:], first)
	open, stream := readAll(file, disk.Limits{})
	if open != nil || !errors.Is(stream, disk.ErrOrder) {
		t.Errorf("random access %v, stream %v", open, stream)
	}
}

func TestErrorsOfTheFileArePassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	file := small(t, None)
	for _, n := range []int{0, 100, smallL1 + 5, smallData + 5} {
		_, err := readStream(io.MultiReader(bytes.NewReader(file[:n]), errReader{broken}))
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

type errReader struct{ error }

func (e errReader) Read([]byte) (int, error) { return 0, e.error }
