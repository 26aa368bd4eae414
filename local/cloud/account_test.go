package cloud

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadAccount(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "account.json")
	a, err := loadAccount(path)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := loadAccount(path); err != nil || again != a {
		t.Errorf("the second time: %+v, %v; want %+v", again, err, a)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAccount(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("an empty file: %v, want an error that names it", err)
	}
}

// TestLoadAccountWhole makes the writing fail half-way, as a full disk does: the
// next start must be able to make an account.
func TestLoadAccountWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "account.json")
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := loadAccount(path); err == nil {
		t.Fatal("an account could be written")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("something was left in account.json")
	}
	if _, err := loadAccount(path); err != nil {
		t.Errorf("the next start: %v", err)
	}
}
