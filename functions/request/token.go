package main

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"unicode/utf8"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/record"
)

// pageFilter says which exports a list is of. A blank field takes all.
type pageFilter struct {
	state   export.State
	imageID string
}

// scope is the smallest set of records that holds all that the filter takes.
func (f pageFilter) scope() record.Scope {
	switch {
	case f.imageID != "":
		return record.OfImage(f.imageID)
	case f.state != "" && !f.state.Terminal():
		return record.Active
	}
	return record.All
}

func (f pageFilter) takes(x export.Export) bool {
	return (f.state == "" || f.state == x.State) && (f.imageID == "" || f.imageID == x.Request.ImageID)
}

// A page token is base64url of a version, a mark of the filter that it is good
// for, and the name of the last record that was looked at. It is no secret and
// gives no right: a made-up one only begins a page elsewhere.
const (
	tokenVersion = 1
	markLength   = 8
)

var (
	errToken  = errors.New("is not a page token of this version")
	errFilter = errors.New("belongs to a list with another state or imageId")
)

func (f pageFilter) token(after string) string {
	mark := f.mark()
	raw := append([]byte{tokenVersion}, mark[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, after...))
}

// parse returns the name behind which a page begins, "" for the first page.
func (f pageFilter) parse(token string) (after string, err error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) <= 1+markLength || len(raw) > 1+markLength+f.scope().MaxName() || raw[0] != tokenVersion {
		return "", errToken
	}
	after = string(raw[1+markLength:])
	if !utf8.ValidString(after) {
		return "", errToken
	}
	if mark := f.mark(); [markLength]byte(raw[1:]) != mark {
		return "", errFilter
	}
	return after, nil
}

func (f pageFilter) mark() [markLength]byte {
	sum := sha256.Sum256([]byte(string(f.state) + "\x00" + f.imageID))
	return [markLength]byte(sum[:])
}
