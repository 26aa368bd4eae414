package sample

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"unicode/utf16"
)

// Types of partitions.
const (
	biosBoot  = "21686148-6449-6E6F-744E-656564454649"
	linuxRoot = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709" // x86-64
)

type gptPartition struct {
	kind, id    string
	first, last uint64 // sectors, both included
	name        string
}

const (
	gptEntries   = 128
	gptEntrySize = 128
	gptTable     = gptEntries * gptEntrySize / sector // sectors
	gptHeader    = 92                                 // bytes
)

// writeGPT writes a protective MBR and both copies of a GUID partition table to
// a disk of so many sectors (UEFI specification, chapter 5).
func writeGPT(w io.WriterAt, sectors uint64, diskID string, parts []gptPartition) error {
	table, err := gptEntriesOf(parts)
	if err != nil {
		return err
	}
	id, err := guid(diskID)
	if err != nil {
		return err
	}
	last := sectors - 1
	header := func(at, other, entries uint64) []byte {
		h := make([]byte, sector)
		copy(h, "EFI PART")
		le := binary.LittleEndian
		le.PutUint32(h[8:], 0x00010000)
		le.PutUint32(h[12:], gptHeader)
		le.PutUint64(h[24:], at)
		le.PutUint64(h[32:], other)
		le.PutUint64(h[40:], 2+gptTable)
		le.PutUint64(h[48:], last-gptTable-1)
		copy(h[56:], id)
		le.PutUint64(h[72:], entries)
		le.PutUint32(h[80:], gptEntries)
		le.PutUint32(h[84:], gptEntrySize)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(table))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:gptHeader]))
		return h
	}
	put := func(at uint64, b []byte) {
		_, e := w.WriteAt(b, int64(at)*sector)
		err = errors.Join(err, e)
	}
	put(0, protectiveMBR(sectors))
	put(1, header(1, last, 2))
	put(2, table)
	put(last-gptTable, table)
	put(last, header(last, 1, last-gptTable))
	if err != nil {
		return fmt.Errorf("write partition table: %w", err)
	}
	return nil
}

func gptEntriesOf(parts []gptPartition) ([]byte, error) {
	table := make([]byte, gptEntries*gptEntrySize)
	for i, p := range parts {
		e := table[i*gptEntrySize:]
		kind, err1 := guid(p.kind)
		id, err2 := guid(p.id)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		copy(e, kind)
		copy(e[16:], id)
		binary.LittleEndian.PutUint64(e[32:], p.first)
		binary.LittleEndian.PutUint64(e[40:], p.last)
		for j, c := range utf16.Encode([]rune(p.name)) {
			binary.LittleEndian.PutUint16(e[56+2*j:], c)
		}
	}
	return table, nil
}

// protectiveMBR covers the disk with one partition of type EE, for tools that
// know no GPT.
func protectiveMBR(sectors uint64) []byte {
	b := make([]byte, sector)
	p := b[446:]
	copy(p[1:4], []byte{0x00, 0x02, 0x00}) // first sector as cylinder, head, sector
	p[4] = 0xEE
	copy(p[5:8], []byte{0xFF, 0xFF, 0xFF})
	binary.LittleEndian.PutUint32(p[8:], 1)
	binary.LittleEndian.PutUint32(p[12:], uint32(min(sectors-1, 0xFFFFFFFF)))
	b[510], b[511] = 0x55, 0xAA
	return b
}

// guid returns the 16 bytes of a GUID, the first three groups little-endian.
func guid(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return nil, fmt.Errorf("%q is not a GUID", s)
	}
	b[0], b[1], b[2], b[3] = b[3], b[2], b[1], b[0]
	b[4], b[5] = b[5], b[4]
	b[6], b[7] = b[7], b[6]
	return b, nil
}
