package qcow2

import (
	"runtime"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

const (
	// zlibWindow is the deflate window: QEMU decompresses with one of 4 KiB
	// (inflateInit2 with -12), so no match may lie further back.
	zlibWindow = 4 << 10
	// jobSize is how many bytes one goroutine compresses.
	jobSize = 512 << 10
)

// packer compresses clusters on all cores and gives them back in order. It has no
// goroutine but for jobs that are under way, so nothing is left of a Writer that
// is dropped.
type packer struct {
	cluster int
	emit    func(index int64, b []byte) error
	// encoders has one for each core: who holds one may work.
	encoders chan encoder
	filling  *job
	pending  []*job // in order
	free     []*job
	most     int // jobs that may be pending
}

// encoder appends a compressed cluster to a buffer.
type encoder func(to, cluster []byte) []byte

// job is some clusters that are compressed by one goroutine.
type job struct {
	indexes []int64
	in, out []byte
	ends    []int // of the clusters in out
	done    chan struct{}
}

func newPacker(p plan, emit func(int64, []byte) error) (*packer, error) {
	cores := runtime.GOMAXPROCS(0)
	k := &packer{cluster: int(p.cluster()), emit: emit, encoders: make(chan encoder, cores), most: 2 * cores}
	for range cores {
		e, err := newEncoder(p)
		if err != nil {
			return nil, err
		}
		k.encoders <- e
	}
	k.filling = &job{}
	return k, nil
}

func newEncoder(p plan) (encoder, error) {
	if p.compression == compressionZstd {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithSingleSegment(true), zstd.WithWindowSize(int(max(p.cluster(), zstd.MinWindowSize))))
		if err != nil {
			return nil, err
		}
		return func(to, cluster []byte) []byte { return z.EncodeAll(cluster, to) }, nil
	}
	var out appender
	f, err := flate.NewWriterWindow(&out, zlibWindow)
	if err != nil {
		return nil, err
	}
	return func(to, cluster []byte) []byte {
		out = to
		f.Reset(&out)
		// Neither fails: the appender takes everything.
		_, _ = f.Write(cluster)
		_ = f.Close()
		return out
	}, nil
}

type appender []byte

func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

// put takes a cluster, and may give back some of those before it.
func (k *packer) put(index int64, cluster []byte) error {
	j := k.filling
	j.indexes = append(j.indexes, index)
	j.in = append(j.in, cluster...)
	if len(j.in)+k.cluster <= jobSize {
		return nil
	}
	return k.start()
}

// start begins the job that was filled, and waits for the oldest if there are too
// many.
func (k *packer) start() error {
	j := k.filling
	j.done = make(chan struct{})
	k.pending = append(k.pending, j)
	go func() {
		e := <-k.encoders
		j.pack(e, k.cluster)
		k.encoders <- e
		close(j.done)
	}()
	if len(k.pending) > k.most {
		if err := k.finish(); err != nil {
			return err
		}
	}
	if n := len(k.free); n > 0 {
		k.filling, k.free = k.free[n-1], k.free[:n-1]
	} else {
		k.filling = &job{}
	}
	return nil
}

// finish gives back the clusters of the oldest job.
func (k *packer) finish() error {
	j := k.pending[0]
	k.pending = k.pending[1:]
	<-j.done
	from := 0
	for i, index := range j.indexes {
		packed := j.out[from:j.ends[i]]
		from = j.ends[i]
		if len(packed) >= k.cluster {
			packed = j.in[i*k.cluster:][:k.cluster]
		}
		if err := k.emit(index, packed); err != nil {
			k.drop()
			return err
		}
	}
	j.indexes, j.in, j.out, j.ends = j.indexes[:0], j.in[:0], j.out[:0], j.ends[:0]
	k.free = append(k.free, j)
	return nil
}

// drop waits until no goroutine is left.
func (k *packer) drop() {
	for _, j := range k.pending {
		<-j.done
	}
	k.pending = nil
}

// flush gives back all clusters that are left.
func (k *packer) flush() error {
	if len(k.filling.indexes) > 0 {
		if err := k.start(); err != nil {
			return err
		}
	}
	for len(k.pending) > 0 {
		if err := k.finish(); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) pack(e encoder, cluster int) {
	for in := j.in; len(in) > 0; in = in[cluster:] {
		j.out = e(j.out, in[:cluster])
		j.ends = append(j.ends, len(j.out))
	}
}
