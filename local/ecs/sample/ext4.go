package sample

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// filesystem is where an ext4 is made.
type filesystem struct {
	path         string // of the disk file
	offset, size int64  // bytes
	uuid, label  string
}

// hashSeed orders large directories.
const hashSeed = "6f1d0c52-9c1b-4a7e-8f55-0d3f0a4be106"

// features are written out, because the defaults differ between systems.
const features = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg," +
	"sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum"

// makeExt4 makes a file system with the files of a tree, all owned by root and
// of the same time, whoever runs it and when.
func makeExt4(t *tree, to filesystem) error {
	_, err := run("mke2fs", nil, "-q", "-F", "-t", "ext4", "-O", features, "-b", "4096", "-I", "256", "-i", "16384", "-m", "1",
		"-J", "size=16", "-U", to.uuid, "-L", to.label, "-d", t.dir,
		"-E", fmt.Sprintf("offset=%d,hash_seed=%s,root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1", to.offset, hashSeed),
		to.path, strconv.FormatInt(to.size>>10, 10)+"k")
	if err != nil {
		return err
	}
	// mke2fs takes owners and times from the folder, and no one can set the
	// change time of a file: they are made equal in the file system.
	var script strings.Builder
	stamp := "@" + strconv.FormatInt(made.Unix(), 10)
	for _, p := range append([]string{"/"}, t.paths...) {
		for _, set := range []string{"uid 0", "gid 0", "atime " + stamp, "mtime " + stamp, "ctime " + stamp} {
			fmt.Fprintf(&script, "set_inode_field %q %s\n", p, set)
		}
	}
	complaints, err := run("debugfs", []byte(script.String()), "-w", "-f", "-", to.path+"?offset="+strconv.FormatInt(to.offset, 10))
	if err != nil {
		return err
	}
	// debugfs ends with 0 whatever happens: beyond its first line, which tells
	// its version, it must have nothing to say.
	if _, rest, _ := strings.Cut(complaints, "\n"); strings.TrimSpace(rest) != "" {
		return fmt.Errorf("debugfs: %s", strings.TrimSpace(rest))
	}
	return os.Chtimes(to.path, made, made)
}

// run runs a program of e2fsprogs and returns what it wrote to standard error.
func run(name string, stdin []byte, args ...string) (string, error) {
	path, err := find(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	// The time of new inodes, no configuration of this machine, no translation.
	cmd.Env = append(os.Environ(), "E2FSPROGS_FAKE_TIME="+strconv.FormatInt(made.Unix(), 10),
		"MKE2FS_CONFIG="+os.DevNull, "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaints.String()))
	}
	return complaints.String(), nil
}

// find looks for a program where e2fsprogs puts it, which is often not in the
// PATH of a user.
func find(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	} else if !errors.Is(err, exec.ErrNotFound) {
		return "", err
	}
	for _, dir := range []string{"/sbin", "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/opt/e2fsprogs/sbin", "/usr/local/opt/e2fsprogs/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s not found: the sample disks need e2fsprogs 1.43 or newer; install it (Debian, Ubuntu: apt-get install e2fsprogs; Fedora: dnf install e2fsprogs; macOS: brew install e2fsprogs), or name a folder of your own images", name)
}
