package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// evidenceSettings say where evidence of a breach is kept.
type evidenceSettings struct {
	Folder     string         `config:"folder,required"`
	Recipients []string       `config:"recipients,required"`
	Pseudonyms runbook.Secret `config:"pseudonyms"`
}

// retentionSettings say for how long what has personal data in it is kept.
type retentionSettings struct {
	Evidence  time.Duration `config:"evidence"`
	Redacted  time.Duration `config:"redacted"`
	Incidents time.Duration `config:"incidents"`
	// Confirmed is a date: the clock was looked at then, and was right.
	Confirmed string `config:"confirmed"`
}

// confirmed is the date, or zero.
func (s retentionSettings) confirmed() (time.Time, error) {
	if s.Confirmed == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.DateOnly, s.Confirmed)
}

// toolchainSettings are the tools of the source of the application.
type toolchainSettings struct {
	Source        string   `config:"source,required"`
	Audit         []string `config:"audit,required"`
	SecurityTests []string `config:"security_tests,required"`
}

// ticketSettings say where incidents have a ticket: one of the two.
type ticketSettings struct {
	Jira       *jiraSettings       `config:"jira"`
	ServiceNow *serviceNowSettings `config:"servicenow"`
}

type jiraSettings struct {
	URL        string         `config:"url,required"`
	Email      string         `config:"email"`
	Token      runbook.Secret `config:"token,required"`
	Project    string         `config:"project,required"`
	IssueType  string         `config:"issue_type"`
	DataCenter bool           `config:"data_center"`
}

type serviceNowSettings struct {
	URL       string            `config:"url,required"`
	Username  string            `config:"username,required"`
	Password  runbook.Secret    `config:"password,required"`
	CloseCode string            `config:"close_code,required"`
	Fields    map[string]string `config:"fields"`
}

// dumpSettings say where dumps of the database go, and who can read them.
type dumpSettings struct {
	Folder     string         `config:"folder,required"`
	Receipts   string         `config:"receipts"`
	Recipients []string       `config:"recipients,required"`
	Identity   runbook.Secret `config:"identity"`
	Programs   string         `config:"programs,required"`
	RootCert   string         `config:"root_cert"`
	At         string         `config:"at"`
	Keep       time.Duration  `config:"keep"`
	Rehearsal  runbook.Secret `config:"rehearsal"`
	// Rehearsals makes a database for each rehearsal, in place of that of Rehearsal.
	Rehearsals *rehearsalSettings `config:"rehearsals"`
}

// rebuildSettings say what an environment is rebuilt from when the platform is lost.
type rebuildSettings struct {
	Project     string            `config:"project,required"`
	Owner       string            `config:"owner"`
	Application serviceSettings   `config:"application,required"`
	Database    serviceSettings   `config:"database,required"`
	Copies      string            `config:"copies,required"`
	Recipients  []string          `config:"recipients,required"`
	Identity    runbook.Secret    `config:"identity,required"`
	Values      map[string]string `config:"values"`
	Address     string            `config:"address"`
}

type serviceSettings struct {
	Name       string `config:"name,required"`
	Image      string `config:"image"`
	Repository string `config:"repository"`
	Branch     string `config:"branch"`
	Template   string `config:"template"`
}

// spec is what the platform is asked for, without where it is.
func (s serviceSettings) spec() incident.ServiceSpec {
	return incident.ServiceSpec{Name: s.Name, Image: s.Image, Repository: s.Repository, Branch: s.Branch, Template: s.Template}
}

// Defaults of these settings.
const (
	defaultDumpAt  = "02:00"
	defaultKeep    = 30 * 24 * time.Hour
	defaultAddress = "DATABASE_PUBLIC_URL"
)

var commitForm = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// completeRecovery fills in what is zero.
func (s *settings) completeRecovery() {
	for _, e := range s.Environments {
		if d := e.Dumps; d != nil {
			setDefault(&d.Receipts, d.Folder)
			setDefault(&d.RootCert, "system")
			setDefault(&d.At, defaultDumpAt)
			setDefault(&d.Keep, defaultKeep)
			if d.Rehearsals != nil {
				setDefault(&d.Rehearsals.Address, defaultAddress)
			}
		}
		if e.Rebuild != nil {
			setDefault(&e.Rebuild.Address, defaultAddress)
		}
	}
}

// validateRecovery finds what is wrong with copies, evidence and tools.
func (s *settings) validateRecovery() {
	if e := s.Evidence; e != nil {
		s.absolute("evidence.folder", e.Folder)
		s.recipients("evidence.recipients", e.Recipients)
		if n := len(e.Pseudonyms.Reveal()); n > 0 && n < 16 {
			s.file.Problem("evidence.pseudonyms", "must be a secret of at least 16 bytes: else ids could be guessed")
		}
	}
	for key, value := range map[string]time.Duration{"evidence": s.Retention.Evidence, "redacted": s.Retention.Redacted, "incidents": s.Retention.Incidents} {
		if value != 0 && value < 24*time.Hour {
			s.file.Problem("retention."+key, "must be at least 24h: what is older is removed each night")
		}
	}
	if _, err := s.Retention.confirmed(); err != nil {
		s.file.Problem("retention.confirmed", "must be a date, like 2026-11-28: the day on which the clock was looked at, and was right")
	}
	if whole, redacted := s.retention().Times(); redacted < whole {
		s.file.Problem("retention", "redacted copies of evidence must be kept at least as long as evidence, which is %v; they are kept for %v", whole, redacted)
	}
	if t := s.Toolchain; t != nil {
		s.absolute("toolchain.source", t.Source)
		s.command("toolchain.audit", t.Audit)
		s.command("toolchain.security_tests", t.SecurityTests)
	}
	if t := s.Channels.Tickets; t != nil {
		s.validateTickets(t)
	}
	for i := range s.Environments {
		path := fmt.Sprintf("environments[%d]", i)
		e := s.Environments[i]
		s.command(path+".task", e.Task)
		s.command(path+".migrate", e.Migrate)
		if len(e.Migrate) > 0 && e.Railway == nil {
			s.file.Problem(path+".migrate", "needs railway: it is the pre-deploy command of a deployment there")
		}
		s.validateCompromise(path+".canvas", e)
		s.validateDumps(path, e)
		s.validateRebuild(path, e)
	}
}

func (s *settings) validateTickets(t *ticketSettings) {
	if (t.Jira == nil) == (t.ServiceNow == nil) {
		s.file.Problem("channels.tickets", "must be jira or servicenow")
	}
	if t.Jira != nil {
		s.checkAddress("channels.tickets.jira.url", t.Jira.URL)
	}
	if t.ServiceNow != nil {
		s.checkAddress("channels.tickets.servicenow.url", t.ServiceNow.URL)
	}
}

// validateCompromise finds what is wrong with what belongs to the developer key.
func (s *settings) validateCompromise(path string, e environment) {
	c := e.Canvas
	if c == nil {
		return
	}
	for i, name := range c.Rotations {
		if _, known := e.Rotate[name]; !known {
			s.file.Problem(fmt.Sprintf("%s.rotations[%d]", path, i), "is none of rotate")
		}
	}
	if (c.ClientID == "") != (len(c.Rotations) == 0) {
		s.file.Problem(path, "client_id_variable and rotations belong together: what is new when the developer key is")
	}
	if c.ClientID != "" && c.Key == "" {
		s.file.Problem(path+".client_id_variable", "needs key: the developer key that is switched off")
	}
}

func (s *settings) validateDumps(path string, e environment) {
	d := e.Dumps
	if d == nil {
		return
	}
	path += ".dumps"
	s.absolute(path+".folder", d.Folder)
	s.absolute(path+".receipts", d.Receipts)
	s.absolute(path+".programs", d.Programs)
	if d.RootCert != "system" {
		s.absolute(path+".root_cert", d.RootCert)
	}
	s.recipients(path+".recipients", d.Recipients)
	s.identity(path+".identity", d.Identity)
	if e.Database == nil {
		s.file.Problem(path, "needs database: what is dumped")
	}
	if !d.Rehearsal.IsZero() && d.Identity.IsZero() {
		s.file.Problem(path+".rehearsal", "needs identity: what is loaded has to be read")
	}
	if e.Database != nil && !d.Rehearsal.IsZero() && d.Rehearsal.Equal(e.Database.URL) {
		s.file.Problem(path+".rehearsal", "is the database itself: a rehearsal replaces what is there")
	}
	s.validateRehearsals(path+".rehearsals", e)
	if at, err := health.ParseTimeOfDay(d.At); err != nil || at == 0 {
		s.file.Problem(path+".at", "must be a time of the day after midnight, such as 02:00")
	}
	if d.Keep < 24*time.Hour {
		s.file.Problem(path+".keep", "must be at least 24h: a dump is made once a day")
	}
}

func (s *settings) validateRebuild(path string, e environment) {
	r := e.Rebuild
	if r == nil {
		return
	}
	path += ".rebuild"
	s.absolute(path+".copies", r.Copies)
	s.recipients(path+".recipients", r.Recipients)
	s.identity(path+".identity", r.Identity)
	switch {
	case e.Railway == nil:
		s.file.Problem(path, "needs railway: where it is rebuilt")
	case e.Railway.Kind != "workspace" && e.Railway.Kind != "account":
		s.file.Problem(path, "needs a token of railway with kind workspace or account: that of a project cannot make one")
	}
	if e.Dumps == nil || e.Dumps.Identity.IsZero() {
		s.file.Problem(path, "needs dumps with an identity: where the data comes from")
	}
	for key, service := range map[string]serviceSettings{"application": r.Application, "database": r.Database} {
		sources := slices.DeleteFunc([]string{service.Image, service.Repository, service.Template}, func(source string) bool { return source == "" })
		if len(sources) != 1 {
			s.file.Problem(path+"."+key, "must have one of image, repository and template: what it runs")
		}
		if service.Branch != "" && service.Repository == "" {
			s.file.Problem(path+"."+key+".branch", "is of a repository, which is missing")
		}
	}
}

// absolute finds a path that depends on where opsd is started.
func (s *settings) absolute(path, value string) {
	if value != "" && !filepath.IsAbs(value) {
		s.file.Problem(path, "must be a path that begins with /")
	}
}

// command finds a program that cannot be one.
func (s *settings) command(path string, c []string) {
	if len(c) > 0 && c[0] == "" {
		s.file.Problem(path, "must begin with the program")
	}
}

// recipients finds recipients that are none. They are no secrets, but one may be pasted in
// their place.
func (s *settings) recipients(path string, texts []string) {
	if len(texts) == 0 && s.file.Position(path) != s.file.Position(path[:strings.LastIndexByte(path, '.')]) {
		s.file.Problem(path, "is empty: nobody could read it")
	}
	for i, text := range texts {
		if _, err := age.ParseX25519Recipient(text); err != nil {
			s.file.Problem(fmt.Sprintf("%s[%d]", path, i), "must be a recipient of age: age1 and what age-keygen -y prints")
		}
	}
}

// identity finds an identity that is none.
func (s *settings) identity(path string, secret runbook.Secret) {
	if secret.IsZero() {
		return
	}
	if _, err := age.ParseIdentities(strings.NewReader(secret.Reveal())); err != nil {
		s.file.Problem(path, "must lead to an identity of age: what age-keygen writes")
	}
}

// retention is the rule, without the stores.
func (s *settings) retention() incident.Retention {
	confirmed, _ := s.Retention.confirmed() // it was looked at
	return incident.Retention{Whole: s.Retention.Evidence, Redacted: s.Retention.Redacted, Incidents: s.Retention.Incidents, Confirmed: confirmed}
}
