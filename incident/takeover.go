package incident

import (
	"context"
	"fmt"
)

// TakeOver gives the runs of a process that hangs to others, see [Replicas], and puts on
// the timeline of their incidents what may happen twice because of it: the process may go
// on with what it does at any moment.
func (r *Runner) TakeOver(ctx context.Context, replicas Replicas, process, by, reason string) ([]RunRecord, error) {
	if err := wrongName(by); err != nil {
		return nil, fmt.Errorf("incident: take over the runs of %s: who wants it: %w", process, err)
	}
	if reason == "" {
		return nil, fmt.Errorf("incident: take over the runs of %s: why is required", process)
	}
	c := Control{By: by, Reason: reason, At: wallTime()}
	text := fmt.Sprintf("takes over the runs of process %s: %s", process, reason)
	if err := r.audit(ctx, Entry{Kind: "replica taken over", Actor: by, Text: text}); err != nil {
		return nil, err
	}
	records, err := replicas.TakeOver(ctx, process, c)
	if err != nil {
		return records, fmt.Errorf("incident: take over the runs of %s: %w", process, err)
	}
	for _, record := range records {
		in, err := readInput(record.Input)
		if err != nil {
			continue // a run of another program, or of another version
		}
		key := fmt.Sprintf("taken over/%d", c.At.UnixMicro())
		told := fmt.Sprintf("%s took the run over from process %s, which hangs: %s", by, process, reason)
		r.emit(ctx, record.RunStart, in, Event{Key: key, Kind: EventControl, Actor: by, Text: told})
		for _, open := range record.Open {
			told := fmt.Sprintf("%s had begun %s, and may still do it; it may happen twice", process, open.Step)
			r.emit(ctx, record.RunStart, in, Event{Key: key + "/" + string(open.Step), Kind: EventTwice, Actor: by, Text: told})
		}
	}
	return records, nil
}
