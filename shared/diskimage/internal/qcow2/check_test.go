package qcow2

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ecs-image-export/shared/diskimage/disk"
)

// broken is a file, and where in it things are.
type broken struct {
	file []byte
	m    *Image // before it was broken
}

func (b broken) put(at int64, v uint64) { binary.BigEndian.PutUint64(b.file[at:], v) }
func (b broken) change(at int64, f func(*uint64)) {
	v := binary.BigEndian.Uint64(b.file[at:])
	f(&v)
	b.put(at, v)
}
func (b broken) l1(i int64) int64 { return b.m.l1Offset + i*8 }
func (b broken) l2(cluster int64) int64 { // where the L2 entry of a cluster of the disk lies
	return int64(b.m.l1[cluster/b.m.l2Entries()]&maskOffset) + cluster%b.m.l2Entries()*b.m.entrySize()
}
func (b broken) entry(cluster int64) uint64 { return binary.BigEndian.Uint64(b.file[b.l2(cluster):]) }

// count changes the refcount of the file's cluster at an offset.
func (b broken) count(offset int64, by int) {
	c := offset >> b.m.clusterBits
	block := binary.BigEndian.Uint64(b.file[b.m.refTableOffset+c/(b.m.cluster()/2)*8:])
	at := b.file[int64(block)+c%(b.m.cluster()/2)*2:]
	binary.BigEndian.PutUint16(at, uint16(int(binary.BigEndian.Uint16(at))+by))
}

// Who alone finds something wrong.
const (
	onlyWe   = "we"
	onlyQEMU = "qemu-img"
)

// What qemu-img check finds corrupt, we do, and nothing else, with a few
// exceptions.
func TestCheckAgreesWithQEMU(t *testing.T) {
	t.Parallel()
	// Clusters 0 to 15 of 4096 bytes are plain, 16 to 31 compressed, 32 to 47
	// zeros that have a place, 48 to 63 zeros that have none; the same in the
	// second table, 512 clusters on. The rest is absent.
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "cluster_size=4096", path, "8M")
	var commands []string
	for table := range 2 {
		at := func(cluster int) int { return (table*512 + cluster) << 12 }
		commands = append(commands, fmt.Sprintf("write -P %d %d 64k", table+1, at(0)))
		for c := range 16 {
			commands = append(commands, fmt.Sprintf("write -c -P %d %d 4k", c+1, at(16+c)))
		}
		commands = append(commands, fmt.Sprintf("write -P 9 %d 64k", at(32)), fmt.Sprintf("write -z %d 128k", at(32)))
	}
	qemuIO(t, path, commands...)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	judge(t, path, false)

	subPath := filepath.Join(t.TempDir(), "subclusters.qcow2")
	qemuImg(t, "create", "-q", "-f", "qcow2", "-o", "extended_l2=on,cluster_size=16k", subPath, "1M")
	qemuIO(t, subPath, "write -P 1 0 1k", "write -z 4k 1k", "write -c -P 2 16k 16k", "write -P 3 32k 16k")
	subFile, err := os.ReadFile(subPath)
	if err != nil {
		t.Fatal(err)
	}

	changes := map[string]func(broken){
		"nothing":                        func(broken) {},
		"cluster counted once too often": func(b broken) { b.count(int64(b.entry(40)&maskOffset), 1); b.change(b.l2(40), copied(false)) },
		"lost cluster":                   func(b broken) { b.put(b.l2(3), 0) },
		"lost table":                     func(b broken) { b.put(b.l1(1), 0) },
		"cluster not counted":            func(b broken) { b.count(int64(b.entry(3)&maskOffset), -1) },
		"zeros not counted":              func(b broken) { b.count(int64(b.entry(33)&maskOffset), -1) },
		"compressed not counted":         func(b broken) { b.count(int64(b.entry(20)&(1<<58-1)), -1) },
		"L2 table not counted":           func(b broken) { b.count(int64(b.m.l1[1]&maskOffset), -1) },
		"L1 table not counted":           func(b broken) { b.count(b.m.l1Offset, -1) },
		"refcount table not counted":     func(b broken) { b.count(b.m.refTableOffset, -1) },
		"header not counted":             func(b broken) { b.count(0, -1) },
		"no refcount block":              func(b broken) { b.put(b.m.refTableOffset, 0) },
		"cluster used twice":             func(b broken) { b.put(b.l2(3), b.entry(4)) },
		"cluster of two tables":          func(b broken) { b.put(b.l2(3), b.entry(512)) },
		"cluster and zeros":              func(b broken) { b.put(b.l2(3), b.entry(32)) },
		"compressed used twice":          func(b broken) { b.put(b.l2(16), b.entry(17)) },
		"compressed of two tables":       func(b broken) { b.put(b.l2(16), b.entry(512+16)) },
		"compressed on plain":            func(b broken) { b.put(b.l2(16), bitPacked|b.entry(0)&maskOffset) },
		"plain on compressed":            func(b broken) { b.put(b.l2(0), b.entry(16)&(1<<58-1)&^4095|bitCopied) },
		"cluster on the L1 table":        func(b broken) { b.put(b.l2(0), bitCopied|uint64(b.m.l1Offset)) },
		"cluster on an L2 table":         func(b broken) { b.put(b.l2(0), bitCopied|b.m.l1[1]&maskOffset) },
		"L2 tables in one place":         func(b broken) { b.put(b.l1(0), b.m.l1[1]) },
		"L2 table on the refcount table": func(b broken) { b.put(b.l1(0), bitCopied|uint64(b.m.refTableOffset)) },
		"L2 table on content":            func(b broken) { b.put(b.l1(1), bitCopied|b.entry(0)&maskOffset) },
		"refcount block on content":      func(b broken) { b.put(b.m.refTableOffset, b.entry(0)&maskOffset) },
		"refcount block not aligned":     func(b broken) { b.change(b.m.refTableOffset, func(v *uint64) { *v += 512 }) },
		"refcount block outside":         func(b broken) { b.put(b.m.refTableOffset+8, 1<<40) },
		"cluster not aligned":            func(b broken) { b.change(b.l2(3), func(v *uint64) { *v += 512 }) },
		"cluster outside":                func(b broken) { b.put(b.l2(3), bitCopied|1<<40) },
		"compressed outside":             func(b broken) { b.put(b.l2(16), bitPacked|1<<40) },
		"L2 table outside":               func(b broken) { b.put(b.l1(1), bitCopied|1<<40) },
		"L2 table not aligned":           func(b broken) { b.change(b.l1(1), func(v *uint64) { *v += 512 }) },
		"reserved bits of an L1 entry":   func(b broken) { b.change(b.l1(1), func(v *uint64) { *v |= 1 << 60 }) },
		"reserved bits of an L2 entry":   func(b broken) { b.change(b.l2(3), func(v *uint64) { *v |= 4 }) },
		"reserved bits of the refcounts": func(b broken) { b.change(b.m.refTableOffset, func(v *uint64) { *v |= 4 }) },
		"cluster not marked as alone":    func(b broken) { b.change(b.l2(3), copied(false)) },
		"zeros not marked as alone":      func(b broken) { b.change(b.l2(33), copied(false)) },
		"L2 table not marked as alone":   func(b broken) { b.change(b.l1(1), copied(false)) },
		"compressed marked as alone":     func(b broken) { b.change(b.l2(16), copied(true)) },
		"counted twice, marked as alone": func(b broken) { b.count(int64(b.entry(3)&maskOffset), 1) },
		"absent marked as alone":         func(b broken) { b.put(b.l2(100), bitCopied) },
		"marked corrupt":                 func(b broken) { b.put(72, featureCorrupt) },
		"not counted, marked dirty":      func(b broken) { b.count(int64(b.entry(3)&maskOffset), -1); b.put(72, featureDirty) },
	}
	subChanges := map[string]func(broken){
		"subclusters":                         func(broken) {},
		"subcluster allocated and zero":       func(b broken) { b.change(b.l2(0)+8, func(v *uint64) { *v |= 1 << 32 }) },
		"subclusters nowhere":                 func(b broken) { b.put(b.l2(0), 0) },
		"subclusters of a compressed cluster": func(b broken) { b.put(b.l2(1)+8, 1) },
		"zero bit beside subclusters":         func(b broken) { b.change(b.l2(2), func(v *uint64) { *v |= bitZero }) },
		"subclusters not counted":             func(b broken) { b.count(int64(b.entry(0)&maskOffset), -1) },
	}
	only := map[string]string{
		// Refcounts say nothing of single bytes.
		"compressed used twice":    onlyWe,
		"compressed of two tables": onlyWe,
		// The specification reserves it.
		"zero bit beside subclusters": onlyWe,
		// We believe whoever marked it.
		"marked corrupt":            onlyWe,
		"not counted, marked dirty": onlyQEMU,
	}
	run := func(name string, file []byte, change func(broken)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := broken{file: bytes.Clone(file)}
			var err error
			if b.m, err = Open(bytes.NewReader(file), int64(len(file)), disk.Limits{}); err != nil {
				t.Fatal(err)
			}
			change(b)
			err = checked(b.file)
			if err != nil && !errors.Is(err, disk.ErrFormat) {
				t.Errorf("Check: %v", err)
			}
			corrupt, report := checkedByQEMU(t, b.file)
			who := "both, or none"
			if corrupt != (err != nil) {
				who = map[bool]string{true: onlyQEMU, false: onlyWe}[corrupt]
			}
			if want := cmp.Or(only[name], "both, or none"); who != want {
				t.Errorf("found by %s, want %s; Check: %v; qemu-img check: %s", who, want, err, report)
			}
		})
	}
	for name, change := range changes {
		run(name, file, change)
	}
	for name, change := range subChanges {
		run(name, subFile, change)
	}
}

func copied(set bool) func(*uint64) {
	return func(v *uint64) {
		*v &^= bitCopied
		if set {
			*v |= bitCopied
		}
	}
}

func checked(file []byte) error {
	m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{})
	if err != nil {
		return err
	}
	return m.Check()
}

// checkedByQEMU says whether qemu-img check finds corruption, or cannot even
// begin. What is lost is none.
func checkedByQEMU(t *testing.T, file []byte) (corrupt bool, report string) {
	t.Helper()
	out, err := exec.Command("qemu-img", "check", "-f", "qcow2", "--output=json", writeFile(t, "broken.qcow2", file)).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	const lost = 3
	return err != nil && exit.ExitCode() != lost, string(out)
}

// Check has the memory that reading has left, and gives it back.
func TestCheckHasOneBudget(t *testing.T) {
	t.Parallel()
	file := small(t, None)
	const page = pageClusters / 8
	for _, c := range []struct {
		memory int64
		want   error
	}{
		{8 + 8 + 2*page, disk.ErrLimit}, // an L1 entry, what was read, tables and content
		{8 + 8 + 3*page, nil},
	} {
		m, err := Open(bytes.NewReader(file), int64(len(file)), disk.Limits{Memory: c.memory})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range m.Extents() {
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := m.Check(); !errors.Is(err, c.want) {
				t.Errorf("%d bytes: %v, want %v", c.memory, err, c.want)
			}
		}
	}
}
