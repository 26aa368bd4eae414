//go:build !(linux || darwin || freebsd)

package sparse

import "os"

func next(_ *os.File, _, size int64) (edge int64, hole bool) { return size, false }
