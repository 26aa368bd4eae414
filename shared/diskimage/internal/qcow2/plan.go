package qcow2

import (
	"fmt"
	"math/bits"

	"ecs-image-export/shared/diskimage/disk"
)

const (
	// Other programs take no larger tables: QEMU has these limits.
	maxL1       = 32 << 20
	maxRefTable = 8 << 20

	refBits  = 16       // of the refcounts that are written
	headPart = 32 << 20 // size of the largest part of a head

	// A head that can't become larger than this has its room from the start, as
	// it costs little and a file needs no moving: that of a disk of some 60 GiB
	// with the default clusters.
	smallHead = 8 << 20
)

// plan is the layout of an image, as far as it is known before its content.
type plan struct {
	header
	asked     int64 // size of the disk before it was rounded to sectors
	headParts int   // number of parts for the head
	reserved  int64 // clusters that the head fills, 0: as many as it needs
}

func newPlan(size int64, o Options) (plan, error) {
	p := plan{asked: size}
	if size < 0 {
		return p, fmt.Errorf("qcow2: a disk of %d bytes", size)
	}
	if o.ClusterSize == 0 {
		o.ClusterSize = DefaultCluster
	}
	if c := o.ClusterSize; c < 512 || c > 2<<20 || bits.OnesCount(uint(c)) != 1 {
		return p, fmt.Errorf("qcow2: a cluster size of %d bytes", c)
	}
	p.clusterBits = uint(bits.TrailingZeros(uint(o.ClusterSize)))
	p.size = divUp(size, 512) * 512
	switch o.Compression {
	case None, Zlib:
	case Zstd:
		p.compression = compressionZstd
	default:
		return p, fmt.Errorf("qcow2: compression %q is not known", o.Compression)
	}
	// The rest of a cluster may be lost behind the compressed ones of a table.
	most := p.areas(divUp(p.size, p.cluster())+p.l1Entries(), p.l1Entries())
	if p.l1Entries()*8 > maxL1 || most.refTable<<p.clusterBits > maxRefTable {
		return p, limitf("a disk of %d bytes needs larger clusters than %d bytes", size, p.cluster())
	}
	p.headParts = int(divUp(most.end()<<p.clusterBits, headPart))
	if p.headParts == 1 && most.end()<<p.clusterBits <= smallHead {
		p.reserved = max(most.end(), divUp(disk.MinPart, p.cluster()))
	}
	return p, nil
}

// areas are the lengths of the parts of a head, in clusters, in their order. The
// header is one cluster.
type areas struct {
	l1, refTable, l2, refBlocks, zeros int64
}

func (a areas) end() int64 { return 1 + a.l1 + a.refTable + a.l2 + a.refBlocks + a.zeros }

// areas plans the head of a file with so many clusters of content and L2 tables.
func (p *plan) areas(content, l2 int64) areas {
	a := areas{l1: max(1, divUp(p.l1Entries()*8, p.cluster())), l2: l2, refTable: 1, refBlocks: 1}
	for {
		// The blocks count themselves and their table, so more of them may need
		// more again; what is unused is zeros.
		a.zeros = 0
		a.zeros = max(0, p.reserved-a.end(), divUp(int64(p.headParts)*disk.MinPart, p.cluster())-a.end())
		blocks := divUp(a.end()+content, p.refsInBlock())
		table := divUp(blocks*8, p.cluster())
		if blocks <= a.refBlocks && table <= a.refTable {
			return a
		}
		a.refBlocks, a.refTable = max(blocks, a.refBlocks), max(table, a.refTable)
	}
}

// refsInBlock is the number of clusters that a refcount block counts.
func (p *plan) refsInBlock() int64 { return p.cluster() * 8 / refBits }
