// Package targz reads and writes a RAW disk in a .tar.gz with one member, as ECS
// exports it. It goes through an archive once, from its start to its end; there
// is no random access.
//
// It has its own reader of tar, since archive/tar expands the holes of sparse
// files into zeros and does not tell: a disk that is mostly holes would cost the
// time of its virtual size.
//
// # Memory
//
// A Stream keeps six pieces of 256 KiB, an inflate window, and the sparse map,
// which is bounded by Limits.Memory; all text of an archive that is not content
// may have an eighth of it together. A Writer keeps 2·GOMAXPROCS+2 blocks of
// 1 MiB with their compressed form, a compressor of about 1 MiB for each core,
// two parts, and for a sparse archive the head of 128 KiB to 8 MiB with its map.
//
// # What one pass can write
//
// The header of a tar member has its size, and of a sparse one the stored size
// and the map. A plain archive has only the virtual size there, and goes out in
// order. A sparse one has room for the header and the map reserved in a gzip
// member of its own, which is part 1 and is handed out last; what the map leaves
// free is filled with gzip members without content. Where a disk has more holes
// than the map has room for, the shortest ones are stored as zeros.
package targz
