package playbooks

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Defaults are the limits and values of the procedures. A field that is zero has the
// value of [RunbookDefaults].
type Defaults struct {
	// AsyncWorkers is to how many workers a slow application is scaled (ASYNC_WORKERS).
	AsyncWorkers int
	// CanvasRateSlow is the rate of Canvas requests a minute while the application is slow,
	// CanvasRateLimited that while Canvas limits us (CANVAS_RATE_LIMIT_PER_MINUTE).
	CanvasRateSlow, CanvasRateLimited int
	// MemoryLimitMB is the memory that the application may use (MEMORY_LIMIT_MB).
	MemoryLimitMB int
	// MaxConcurrentTasks is how many tasks run at once while memory is short
	// (MAX_CONCURRENT_TASKS).
	MaxConcurrentTasks int
	// BatchSize, ParallelProcessing and ProgressInterval are those of slow tasks
	// (BATCH_SIZE, PARALLEL_PROCESSING_LIMIT, PROGRESS_UPDATE_INTERVAL, the last in
	// seconds).
	BatchSize, ParallelProcessing, ProgressInterval int

	// ResponseTime is the longest response time, ErrorRate the highest share of requests
	// that fails, MemoryWarning and Memory how much memory may be in use, in percent, and
	// RecentErrors how many errors there may have been lately.
	ResponseTime          time.Duration
	ErrorRate             float64
	MemoryWarning, Memory float64
	RecentErrors          int
	// SlowTask is how long a QA task may take.
	SlowTask time.Duration

	// RecentDeployment is for how long a deployment may be the cause of what fails.
	RecentDeployment time.Duration
	// Settle is how long the application is given after it was deployed or restarted
	// before it is looked at.
	Settle time.Duration
	// Recover is how long it may take until it is well again, and Times how often in a row
	// it must be.
	Recover time.Duration
	Times   int
	// CanvasPoll is how often Canvas is looked at while it is away, CanvasAway for how
	// long that goes on.
	CanvasPoll, CanvasAway time.Duration
	// BackupAge is how old the newest backup may be, DumpAge the newest dump off the
	// platform.
	BackupAge, DumpAge time.Duration
	// CredentialAge is how old a credential may be.
	CredentialAge time.Duration
	// Calm is how long something must have been well before what was lowered is raised
	// again.
	Calm time.Duration
	// Approve is how long there is to approve something, and Approvers how many must
	// approve what destroys data.
	Approve   time.Duration
	Approvers int

	// Security is where a suspected breach is told. Required by the playbooks about
	// security: there is no address for it in the runbook.
	Security string
	// BreachNotice is how long it may take to settle whether a suspected breach must be
	// notified: the deadline that the playbooks about security put on the clock of the
	// incident. Whole days are those of the calendar.
	BreachNotice time.Duration

	// Acknowledge are the response times, by severity. Which severity an incident has, its
	// playbook says, and what the runbook alerts about.
	Acknowledge ResponseTimes
	// Intervals are how often it is looked, Reports when the reports are made.
	Intervals Intervals
	Reports   ReportTimes
	// Channels are where people are told. Escalation is the matrix, and who is called after
	// hours: its addresses are those of the runbook, which has no phone numbers but
	// placeholders, so that a host that calls people has to say them all.
	Channels   Channels
	Escalation incident.MatrixNumbers
	// Test, Beta and Production are where the three environments are.
	Test, Beta, Production Place
}

// RunbookDefaults are the values of the operations runbook, and choices of ours for what it
// leaves open.
func RunbookDefaults() Defaults {
	d := Defaults{
		AsyncWorkers: 8, CanvasRateSlow: 100, CanvasRateLimited: 120, MemoryLimitMB: 1024, MaxConcurrentTasks: 5,
		BatchSize: 25, ParallelProcessing: 3, ProgressInterval: 5,
		ResponseTime: 5 * time.Second, ErrorRate: 0.05, MemoryWarning: 80, Memory: 90, RecentErrors: 5, SlowTask: 5 * time.Minute,
		Times: 3, CanvasPoll: time.Minute,
		// The runbook names none of these. Backups and dumps are made daily, and may be two
		// hours late.
		RecentDeployment: 4 * time.Hour, Settle: 30 * time.Second, Recover: 10 * time.Minute, CanvasAway: 24 * time.Hour,
		BackupAge: 26 * time.Hour, DumpAge: 26 * time.Hour, CredentialAge: 90 * 24 * time.Hour,
		Calm: 15 * time.Minute, Approve: 30 * time.Minute, Approvers: 1,
		// Privacy Act 1988 (Cth), section 26WH(2): all reasonable steps to complete the
		// assessment of a suspected breach within 30 days after becoming aware of the grounds
		// for it. To notify one (26WK, 26WL) is as soon as practicable, and has no days.
		BreachNotice: 30 * 24 * time.Hour,
	}
	d.ofTheHouse()
	return d
}

// WithDefaults returns d with the values of [RunbookDefaults] for what is zero: those that the
// playbooks go by, for a host whose rules or pages go by the same.
func (d Defaults) WithDefaults() Defaults {
	complete(reflect.ValueOf(&d).Elem(), reflect.ValueOf(RunbookDefaults()))
	return d
}

// complete sets what is zero, in a struct and in those within it.
func complete(own, all reflect.Value) {
	for i := range own.NumField() {
		switch f := own.Field(i); {
		case f.Kind() == reflect.Struct:
			complete(f, all.Field(i))
		case f.IsZero():
			f.Set(all.Field(i))
		}
	}
}

// Validate returns everything that is wrong with the defaults, or nil.
func (d Defaults) Validate() error {
	errs := negative("", reflect.ValueOf(d))
	if d.MemoryWarning > 100 || d.Memory > 100 || d.ErrorRate > 1 {
		errs = append(errs, errors.New("defaults: memory is in percent, and the error rate a share from 0 to 1"))
	}
	return errors.Join(errs...)
}

// negative returns what is negative and must not be, in a struct and in those within it.
func negative(in string, v reflect.Value) (errs []error) {
	for i := range v.NumField() {
		f, name := v.Field(i), in+v.Type().Field(i).Name
		switch {
		case f.Kind() == reflect.Struct:
			errs = append(errs, negative(name+".", f)...)
		case f.CanInt() && f.Int() == int64(incident.NextBusinessDay) && in == "Acknowledge.":
		case f.CanInt() && f.Int() < 0 || f.CanFloat() && f.Float() < 0:
			errs = append(errs, fmt.Errorf("defaults: %s is negative", name))
		}
	}
	return errs
}
