package targz

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"ecs-image-export/shared/diskimage/disk"
)

// tarOf puts blocks and text together, each padded to a block.
func tarOf(pieces ...[]byte) []byte {
	var out []byte
	for _, p := range pieces {
		out = append(out, p...)
		out = append(out, make([]byte, -len(p)&(blockSize-1))...)
	}
	return append(out, make([]byte, 2*blockSize)...)
}

func headerOf(typeflag byte, name string, size int64, change func(*header)) []byte {
	h := newHeader(name, size, time.Unix(0, 0))
	copy(h.bytes(fieldMagic), magicGNU)
	h[fieldTypeflag.at] = typeflag
	if change != nil {
		change(h)
	}
	h.seal()
	return h[:]
}

func regular(size int64) []byte { return headerOf(typeRegular, "disk.raw", size, nil) }

func paxOf(records ...string) []byte {
	var text []byte
	for _, r := range records {
		n := len(r) + 2
		n += len(fmt.Sprint(n + 2))
		text = fmt.Appendf(text, "%d %s\n", n, r)
	}
	return append(headerOf(typePAX, "x", int64(len(text)), nil), text...)
}

func gnuSparse(realSize, stored int64, ranges ...int64) []byte {
	return headerOf(typeGNUSparse, "disk.raw", stored, func(h *header) {
		for i, n := range ranges {
			h.putNumber(field{fieldSparse.at + 12*i, 12}, n)
		}
		h.putNumber(fieldRealSize, realSize)
	})
}

func fuzzArchives() [][]byte {
	data := bytes.Repeat([]byte("x"), 600)
	return [][]byte{
		tarOf(regular(600), data),
		tarOf(headerOf(typeDirectory, "d/", 0, nil), headerOf(typeGNULongName, "././@LongLink", 5, nil), []byte("long\x00"), regular(600), data),
		tarOf(gnuSparse(4096, 600, 0, 500, 3996, 100), data),
		tarOf(paxOf("GNU.sparse.size=4096", "GNU.sparse.numblocks=2", "GNU.sparse.offset=0", "GNU.sparse.numbytes=500", "GNU.sparse.offset=3996", "GNU.sparse.numbytes=100"), regular(600), data),
		tarOf(paxOf("GNU.sparse.size=4096", "GNU.sparse.numblocks=2", "GNU.sparse.name=disk", "GNU.sparse.map=0,500,3996,100"), regular(600), data),
		tarOf(paxOf("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=disk", "GNU.sparse.realsize=4096"), regular(1112), []byte("2\n0\n500\n3996\n100\n"), data),
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	for i, tar := range fuzzArchives() {
		got, err := unpack(bytes.NewReader(gzipStored(t, tar)), disk.Limits{})
		if err != nil {
			t.Errorf("form %d: %v", i, err)
		} else if want := 600; bytes.Count(got, []byte("x")) != want || i > 1 && len(got) != 4096 {
			t.Errorf("form %d: %d bytes", i, len(got))
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("x"), 600)
	good := tarOf(regular(600), data)
	zipped := gzipStored(t, good)
	wrong := func(at int) []byte { b := bytes.Clone(zipped); b[len(b)+at] ^= 1; return b }
	for name, c := range map[string]struct {
		file []byte
		kind error
		says string
	}{
		"empty file":         {nil, disk.ErrFormat, "empty"},
		"not gzip":           {[]byte("QFI\xfb..........."), disk.ErrFormat, "offset 0x0"},
		"wrong CRC32":        {wrong(-8), disk.ErrFormat, "CRC32"},
		"wrong ISIZE":        {wrong(-1), disk.ErrFormat, "the trailer at offset"},
		"cut":                {zipped[:len(zipped)-3], disk.ErrFormat, "gzip trailer"},
		"cut in content":     {zipped[:700], disk.ErrFormat, "unexpected EOF"},
		"data after gzip":    {append(bytes.Clone(zipped), "more"...), disk.ErrFormat, "neither a member nor zeros"},
		"data after zeros":   {append(bytes.Clone(zipped), "\x00\x00more"...), disk.ErrFormat, "after zeros"},
		"reserved flags":     {append([]byte{0x1f, 0x8b, 8, 0x80}, zipped[4:]...), disk.ErrFormat, "reserved flags"},
		"not tar":            {gzipStored(t, data), disk.ErrFormat, "checksum"},
		"archive cut":        {gzipStored(t, good[:1000]), disk.ErrFormat, "ends too early"},
		"no file":            {gzipStored(t, tarOf(headerOf(typeDirectory, "d/", 0, nil))), disk.ErrFormat, "no regular file"},
		"two files":          {gzipStored(t, tarOf(regular(600), data, headerOf(typeRegular, "second", 1, nil), []byte("x"))), disk.ErrUnsupported, `"second"`},
		"symbolic link":      {gzipStored(t, tarOf(headerOf('2', "link", 0, nil))), disk.ErrUnsupported, `"link"`},
		"data after the end": {gzipStored(t, append(bytes.Clone(good), "more"...)), disk.ErrFormat, "after the end"},
		"too many headers":   {gzipStored(t, tarOf(bytes.Repeat(headerOf(typeDirectory, "d/", 0, nil), 1001))), disk.ErrUnsupported, "headers"},
		"bad size":           {gzipStored(t, tarOf(headerOf(typeRegular, "disk", 0, func(h *header) { copy(h.bytes(fieldSize), "9x") }))), disk.ErrFormat, "size"},
		"negative size":      {gzipStored(t, tarOf(headerOf(typeRegular, "disk", 0, func(h *header) { h[fieldSize.at] = 0xff }))), disk.ErrFormat, "negative"},
		"above the limit":    {gzipStored(t, tarOf(regular(1<<30))), disk.ErrLimit, "1073741824"},
		"ranges overlap":     {gzipStored(t, tarOf(gnuSparse(4096, 600, 0, 500, 400, 100), data)), disk.ErrFormat, "range 1"},
		"range after end":    {gzipStored(t, tarOf(gnuSparse(1000, 600, 0, 500, 3996, 100), data)), disk.ErrFormat, "4096"},
		"other sum":          {gzipStored(t, tarOf(gnuSparse(4096, 599, 0, 500, 3996, 100), data)), disk.ErrFormat, "600"},
		"sparse 2.0":         {gzipStored(t, tarOf(paxOf("GNU.sparse.major=2", "GNU.sparse.minor=0"), regular(600), data)), disk.ErrUnsupported, "2.0"},
		"half a pair":        {gzipStored(t, tarOf(paxOf("GNU.sparse.size=9", "GNU.sparse.numblocks=1", "GNU.sparse.offset=0"), regular(600), data)), disk.ErrFormat, "not whole"},
		"map too long":       {gzipStored(t, tarOf(paxOf("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9"), regular(100), data)), disk.ErrFormat, "longer than the member"},
		"map not numbers":    {gzipStored(t, tarOf(paxOf("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9"), regular(600), data)), disk.ErrFormat, "not a number"},
		"large PAX header":   {gzipStored(t, tarOf(headerOf(typePAX, "x", 1<<40, nil))), disk.ErrLimit, "header of"},
		"PAX length":         {gzipStored(t, tarOf(headerOf(typePAX, "x", 6, nil), []byte("99 a=b"), regular(600), data)), disk.ErrFormat, "length"},
	} {
		_, err := unpack(bytes.NewReader(c.file), disk.Limits{Size: 1 << 29, Memory: 1 << 20})
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The text of all headers counts, and of maps, wherever they are: each of these
// archives has twenty small pieces of it.
func TestTextTogether(t *testing.T) {
	t.Parallel()
	const memory = 1 << 20
	data := bytes.Repeat([]byte("x"), 600)
	pax := paxOf("comment=" + strings.Repeat("x", memory/textShare/10))
	pax = append(pax, make([]byte, -len(pax)&(blockSize-1))...)
	global := bytes.Clone(pax)
	copy(global, headerOf(typePAXGlobal, "x", int64(len("comment="))+memory/textShare/10+7, nil))
	name := append(headerOf(typeGNULongName, "x", memory/textShare/10, nil), make([]byte, (memory/textShare/10+blockSize-1)&^(blockSize-1))...)
	lines := "9000\n"
	for i := range 9000 {
		lines += fmt.Sprintf("%d\n1\n", 1<<27+2*i)
	}
	stored := int64(len(lines)+blockSize-1)&^(blockSize-1) + 9000
	sparse := paxOf("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=268435456")
	old := headerOf(typeGNUSparse, "disk.raw", 0, func(h *header) {
		h.putNumber(fieldRealSize, 1<<28)
		h[fieldIsExtended.at] = 1
	})
	var block header
	block.putNumber(field{0, 12}, 0)
	block.putNumber(field{12, 12}, 0)
	block[fieldMoreIsExtended.at] = 1
	for name, tar := range map[string][]byte{
		"before the file": tarOf(bytes.Repeat(pax, 20), regular(600), data),
		"global":          tarOf(bytes.Repeat(global, 20), regular(600), data),
		"names":           tarOf(bytes.Repeat(name, 20), regular(600), data),
		"on both sides":   tarOf(bytes.Repeat(pax, 6), regular(600), data, bytes.Repeat(pax, 6)),
		"PAX 1.0 map":     tarOf(bytes.Repeat(pax, 5), sparse, regular(stored), []byte(lines), make([]byte, 9000)),
		"GNU map":         tarOf(old, bytes.Repeat(block[:], memory/textShare/blockSize+1)),
	} {
		_, err := unpack(bytes.NewReader(gzipStored(t, tar)), disk.Limits{Size: 1 << 29, Memory: memory})
		if !errors.Is(err, disk.ErrLimit) || !strings.Contains(err.Error(), "together") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := unpack(bytes.NewReader(gzipStored(t, tarOf(bytes.Repeat(pax, 4), regular(600), data, bytes.Repeat(pax, 4)))), disk.Limits{Memory: memory}); err != nil {
		t.Errorf("as much as may be: %v", err)
	}
}

// Members and padding as tools and stores leave them.
func TestGzipMembers(t *testing.T) {
	t.Parallel()
	want := content(300_000, 9)
	tar := tarOf(regular(int64(len(want))), want)
	var file []byte
	for len(tar) > 0 {
		n := min(len(tar), 100_001)
		file = append(file, gzipStored(t, tar[:n])...)
		tar = tar[n:]
	}
	file = padMembers(file, len(file)+200_000)
	for _, padding := range []int{0, 1, 100_000} {
		got, err := unpack(bytes.NewReader(append(bytes.Clone(file), make([]byte, padding)...)), disk.Limits{})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d zeros after: %v", padding, err)
		}
	}
}

// What the reader says, stays: a network that fails is no broken file.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	network := errors.New("connection reset")
	packed := pack(t, content(3<<20, 1), Options{Level: 1})
	for _, at := range []int{0, 5, 100, len(packed) / 2, len(packed) - 4} {
		_, err := unpack(io.MultiReader(bytes.NewReader(packed[:at]), failingReader{network}), disk.Limits{})
		if !errors.Is(err, network) || errors.Is(err, disk.ErrFormat) {
			t.Errorf("after %d bytes: %v", at, err)
		}
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }
