package oss

import (
	"crypto/md5"
	"errors"
	"hash/crc64"
	"io"
	"net/http"
	"strconv"

	"go.etcd.io/bbolt"
)

// smallAppend is the size up to which appended bytes go to the end of the
// object's last file. Longer ones become a file of their own, because they are
// received before it is known whether the append wins.
const smallAppend = 1 << 20

// appendObject adds to the end of an object if it has the length that the
// caller believes: a compare-and-append. Exactly one of the callers with the
// same position wins; the others get 409 with the position that is right now.
func (s *Service) appendObject(w http.ResponseWriter, r *request) error {
	text := r.param("position")
	if text == "" {
		return &Error{Status: 400, Code: "MissingArgument", Message: "Missing Some Required Arguments.", EC: "0016-00000501", Details: []string{"ArgumentName", "position"}}
	}
	position, err := strconv.ParseInt(text, 10, 64)
	if err != nil || position < 0 {
		return badArgument("position", text, "Argument position must be an integer not less than 0.")
	}
	c, err := s.prepareAppend(r, position)
	if err != nil {
		return err
	}
	data, err := s.receiveAppend(r)
	if err != nil {
		return err
	}
	var o *object
	err = s.db.Update(func(tx *bbolt.Tx) error {
		b, old, err := appendable(tx, r, position)
		if err != nil {
			return err
		}
		if position+data.size > maxPut {
			return errEntityTooLarge.with("MaxSizeAllowed", strconv.Itoa(maxPut))
		}
		if o = old; o == nil {
			o = &object{Type: typeAppendable, settings: c, VersionID: b.newVersion()}
		}
		if err := s.addContent(tx, o, data); err != nil {
			return err
		}
		o.CRC64 = combineCRC64(o.CRC64, data.crc64, data.size)
		o.Size += data.size
		o.ETag, o.Modified = randomID(), s.now()
		if err := saveObject(tx, r.bucket, r.key, o); err != nil {
			return err
		}
		return s.recordEvent(tx, r, r.key, o, data.size, "ObjectCreated:AppendObject")
	})
	if err != nil {
		s.blobs.remove(data.id)
		return err
	}
	s.wakeDelivery()
	h := w.Header()
	h["x-oss-next-append-position"] = []string{strconv.FormatInt(o.Size, 10)}
	o.answerWritten(h)
	return s.ok(w, r)
}

// prepareAppend refuses early what the transaction would refuse, so that a
// loser need not send its body.
func (s *Service) prepareAppend(r *request, position int64) (c settings, err error) {
	if e := refuseConditions(r); e != nil {
		return c, e
	}
	if e := checkLength(r, maxPut); e != nil {
		return c, e
	}
	if _, e := requestMD5(r); e != nil {
		return c, e
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		b, _, err := appendable(tx, r, position)
		if err != nil {
			return err
		}
		var e *Error
		if c, e = readSettings(r.Header, b); e != nil {
			return e
		}
		return nil
	})
	return c, err
}

// appendable returns the object to append to, or nil if the append makes it.
func appendable(tx *bbolt.Tx, r *request, position int64) (*bucket, *object, error) {
	b, err := loadBucket(tx, r.bucket)
	if err != nil {
		return nil, nil, err
	}
	o, err := findObject(tx, r.bucket, r.key)
	if err != nil {
		return nil, nil, err
	}
	length := int64(0)
	if o != nil {
		if o.Type != typeAppendable {
			return nil, nil, errNotAppendable.with("Key", r.key)
		}
		length = o.Size
	}
	if position != length {
		e := errPosition
		e.Header = map[string]string{"x-oss-next-append-position": strconv.FormatInt(length, 10)}
		if o != nil {
			e.Header["x-oss-hash-crc64ecma"] = strconv.FormatUint(o.CRC64, 10)
		}
		return nil, nil, &e
	}
	return b, o, nil
}

// appended is what an append adds: bytes, or a file that holds them.
type appended struct {
	written
	bytes []byte
}

// receiveAppend takes the body of a request: a short one in memory, a long one
// in a file.
func (s *Service) receiveAppend(r *request) (appended, error) {
	if r.ContentLength > smallAppend || r.ContentLength < 0 {
		file, err := s.receive(r, maxPut)
		return appended{written: file}, err
	}
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return appended{}, err
	}
	sum := md5.Sum(body)
	if e := checkMD5(r, func() []byte { return sum[:] }); e != nil {
		return appended{}, e
	}
	return appended{
		written: written{size: int64(len(body)), md5: sum[:], crc64: crc64.Checksum(body, crcTable)}, bytes: body,
	}, nil
}

// addContent puts what is appended behind the content of o. Bytes are written
// into the last file while the transaction holds the only write lock; until it
// commits nobody reads them, and if it does not they are written over.
func (s *Service) addContent(tx *bbolt.Tx, o *object, data appended) error {
	segments, err := contentOf(tx, o)
	if err != nil {
		return err
	}
	if n := len(segments); data.id == "" && n > 0 {
		last := &segments[n-1]
		if err := s.blobs.appendAt(last.Blob, last.Size, data.bytes); err != nil {
			return err
		}
		last.Size += data.size
		if n == 1 {
			return nil // the object's own size says it
		}
		return putJSON(tx.Bucket(segmentsRoot), []byte(o.Content), segments)
	}
	id := data.id
	if id == "" {
		file, err := s.blobs.create(data.bytes)
		if err != nil {
			return err
		}
		id = file
	}
	old := o.Content
	if err := setContent(tx, o, append(segments, segment{id, data.size})); err != nil {
		return err
	}
	if old == "" {
		return nil
	}
	return tx.Bucket(segmentsRoot).Delete([]byte(old))
}
