package record

import (
	"context"
	"errors"
	"fmt"

	"ecs-image-export/shared/oss"
)

// Park keeps a message that could not be handled, with the reason, for a person to
// look at. first is false if it is kept already.
func (s *Store) Park(ctx context.Context, messageID, reason, body string) (first bool, err error) {
	return s.park(ctx, messageID, reason, body)
}

// ParkExport does the same for an export whose log can't be read.
func (s *Store) ParkExport(ctx context.Context, id string, reason error) (first bool, err error) {
	return s.park(ctx, "export-"+id, fmt.Sprintf(
		"%v. Nobody goes on with the export, and a slot that it holds of TASKS_AT_ONCE stays taken, until exports/%s in this bucket can be read. Mend it, then remove this object.", reason, id), "")
}

func (s *Store) park(ctx context.Context, name, reason, body string) (first bool, err error) {
	err = s.create(ctx, "parked/"+name, struct {
		Reason string `json:"reason"`
		Body   string `json:"body,omitempty"`
	}{reason, body})
	if errors.Is(err, oss.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("park %s: %w", name, err)
	}
	return true, nil
}
