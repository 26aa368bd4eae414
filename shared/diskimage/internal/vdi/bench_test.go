package vdi

import "testing"

func BenchmarkDynamic(b *testing.B) {
	format.Bench(b, "static=off")
}
