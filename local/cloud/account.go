package cloud

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ecs-image-export/local/identity"
	"ecs-image-export/local/ram"
)

// account is the one account of the stand-in, made when its folder is new.
type account struct {
	// AccessKeyID and AccessKeySecret belong to a RAM user with every right, as
	// one would work with on a real account: the account's own key cannot assume
	// roles.
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	RootID          string `json:"rootId"`
	RootSecret      string `json:"rootSecret"`
}

func loadAccount(path string) (account, error) {
	var a account
	text, err := os.ReadFile(path)
	if err == nil {
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("%s: %w", path, err)
		}
		return a, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	a = account{
		AccessKeyID: "LTAI5t" + rand.Text()[:18], AccessKeySecret: rand.Text() + rand.Text()[:4],
		RootID: "LTAI5t" + rand.Text()[:18], RootSecret: rand.Text() + rand.Text()[:4],
	}
	if text, err = json.MarshalIndent(a, "", "  "); err != nil {
		return a, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return a, err
	}
	return a, writeFile(path, text)
}

// writeFile leaves the whole file or none: half an account could not be used
// again after the disk was full.
func writeFile(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}

func (a account) root() identity.Credentials {
	return identity.Credentials{AccessKeyID: a.RootID, AccessKeySecret: a.RootSecret}
}

func (a account) users() []ram.User {
	return []ram.User{{
		Name:        "administrator",
		Credentials: identity.Credentials{AccessKeyID: a.AccessKeyID, AccessKeySecret: a.AccessKeySecret},
		Policies:    []string{"AdministratorAccess"},
	}}
}
