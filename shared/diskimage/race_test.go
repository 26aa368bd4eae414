//go:build race

package diskimage_test

const raceEnabled = true
