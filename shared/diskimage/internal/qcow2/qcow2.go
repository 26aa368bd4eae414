// Package qcow2 reads and writes QCOW2 images, versions 2 and 3. The names of
// fields are those of the format's specification, docs/interop/qcow2.txt in the
// source of QEMU.
//
// # What is read
//
// Cluster sizes from 512 bytes to 2 MiB, refcounts of any order, clusters
// compressed with zlib or zstd, zero clusters, extended L2 entries (subclusters),
// lazy refcounts with or without the dirty bit. Internal snapshots and bitmaps
// are left alone: the content is that of the active L1 table. Backing files,
// external data files, encryption and unknown incompatible features are refused
// with ErrUnsupported, an image marked corrupt with ErrFormat.
//
// Open checks the header, the L1 table and the refcount table: that what they
// point to is aligned, inside the file, and that no two tables share a cluster.
// Each L2 table is checked in the same way when it is read; and that no two
// clusters of the disk, of all tables read so far, share a byte of the file. So
// Extents, which reads them all, and a Stream find all that do. The tables do not
// say where in its last sector a compressed cluster ends: one that begins there,
// behind the sector's first byte, is taken for a neighbour. Check also compares
// the refcounts.
//
// # Memory
//
// Open keeps the L1 table (8 bytes for each 512 MiB of the disk with clusters of
// 64 KiB), one bit for each cluster of the file where there are tables, and one
// for each that an L2 table read so far points to; 8 bytes for each compressed
// cluster, as its entry has; at most 4 MiB of L2 tables and 4 MiB of decompressed
// clusters (two clusters each when they are larger). While Check runs, it needs
// one more bit for each cluster of the file that is used, and one cluster. A
// Stream keeps the same as Open, 24 bytes for each L2 table, 16 MiB of the file,
// and the L2 tables that it has met and not yet used. All of it but the fixed part
// is bounded by Limits.Memory.
//
// # Streams
//
// A file can be read in one pass when its L1 table comes before the L2 tables,
// each L2 table before the clusters it maps, and the clusters in ascending order
// of the disk. A cluster may come up to 4 MiB too early. This holds for files
// of this package's Writer, of qcow2-to-stdout.py, and mostly for what `qemu-img
// convert` writes without -W. The rest ends with ErrOrder. A stream that comes to
// its end has checked all that Open and Extents check.
//
// # What is written
//
// See Writer.
package qcow2

import (
	"encoding/binary"
	"fmt"

	"ecs-image-export/shared/diskimage/disk"
)

// magic is "QFI\xfb", the first field of the header.
const magic = 0x514649fb

// Match says whether a file that begins with head is QCOW2, of whatever version
// and whether this package reads it or not.
func Match(head, _ []byte) bool {
	return len(head) >= 8 && binary.BigEndian.Uint32(head) == magic
}

func badf(format string, args ...any) error {
	return fmt.Errorf("qcow2: %w: %w", fmt.Errorf(format, args...), disk.ErrFormat)
}

func unsupportedf(format string, args ...any) error {
	return fmt.Errorf("qcow2: %w: %w", fmt.Errorf(format, args...), disk.ErrUnsupported)
}

func limitf(format string, args ...any) error {
	return fmt.Errorf("qcow2: %w: %w", fmt.Errorf(format, args...), disk.ErrLimit)
}

func orderf(format string, args ...any) error {
	return fmt.Errorf("qcow2: %w: %w", fmt.Errorf(format, args...), disk.ErrOrder)
}
