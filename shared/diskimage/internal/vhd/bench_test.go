package vhd

import "testing"

func BenchmarkDynamic(b *testing.B) {
	format(false).Bench(b, "force_size=on")
}

func BenchmarkFixed(b *testing.B) {
	format(true).Bench(b, "force_size=on,subformat=fixed")
}
