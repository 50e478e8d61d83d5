package main

import (
	"fmt"
	"iter"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// settings is the configuration file; config.sample.yaml explains every key.
type settings struct {
	Server       server                 `config:"server"`
	State        stateSettings          `config:"state"`
	Zone         string                 `config:"zone"`
	People       []person               `config:"people,required"`
	SignIn       *signIn                `config:"sign_in"`
	RotaStart    string                 `config:"rota_start"`
	Numbers      numbers                `config:"numbers"`
	Addresses    addresses              `config:"addresses"`
	Channels     channels               `config:"channels"`
	Receivers    receivers              `config:"receivers"`
	Beat         time.Duration          `config:"beat"`
	Intervals    intervals              `config:"intervals"`
	Automation   automation             `config:"automation"`
	Limits       limits                 `config:"limits"`
	Acknowledge  acknowledge            `config:"acknowledge"`
	Reports      reportTimes            `config:"reports"`
	Security     string                 `config:"security_contact"`
	Heartbeat    runbook.Secret         `config:"heartbeat"`
	StatusPage   statusPage             `config:"status_page"`
	Evidence     *evidenceSettings      `config:"evidence"`
	Retention    retentionSettings      `config:"retention"`
	Toolchain    *toolchainSettings     `config:"toolchain"`
	Telemetry    *telemetrySettings     `config:"telemetry"`
	Estate       *estateSettings        `config:"embedded_estate"`
	Environments []environment          `config:"environments"`
	file         *config.File           // where problems belong
	zone         *time.Location         // that of Zone
	names        map[string]environment // by name
}

type server struct {
	Listen string `config:"listen"`
	URL    string `config:"url"`
}

type stateSettings struct {
	Folder      string         `config:"folder"`
	Postgres    runbook.Secret `config:"postgres"`
	ConfirmedBy string         `config:"confirmed_by"`
}

// person is somebody who works with opsd.
type person struct {
	Name   string         `config:"name,required"`
	Mail   string         `config:"mail"`
	Phone  string         `config:"phone"`
	Roles  []string       `config:"roles"`
	Access []string       `config:"access"`
	OnCall bool           `config:"on_call"`
	Token  runbook.Secret `config:"token"`
	Login  string         `config:"login"`
}

type signIn struct {
	Issuer       string         `config:"issuer,required"`
	ClientID     string         `config:"client_id,required"`
	ClientSecret runbook.Secret `config:"client_secret"`
	Claim        string         `config:"claim"`
	SessionKey   runbook.Secret `config:"session_key"`
	Session      time.Duration  `config:"session"`
}

type numbers struct {
	Operations          string `config:"operations"`
	Development         string `config:"development"`
	CanvasEmergency     string `config:"canvas_emergency"`
	OperationsManager   string `config:"operations_manager"`
	ITDirector          string `config:"it_director"`
	CanvasAdministrator string `config:"canvas_administrator"`
	Helpdesk            string `config:"helpdesk"`
}

type channels struct {
	Slack *slackSettings `config:"slack"`
	Mail  *mailSettings  `config:"mail"`
	Phone *phoneSettings `config:"phone"`

	Tickets *ticketSettings `config:"tickets"`
}

type slackSettings struct {
	Token runbook.Secret `config:"token,required"`
}

type mailSettings struct {
	Host     string         `config:"host,required"`
	Port     int            `config:"port"`
	Username string         `config:"username"`
	Password runbook.Secret `config:"password"`
	From     string         `config:"from,required"`
}

type phoneSettings struct {
	Account runbook.Secret `config:"account,required"`
	Token   runbook.Secret `config:"token,required"`
	From    string         `config:"from,required"`
}

type receivers struct {
	Slack        runbook.Secret            `config:"slack"`
	PagerDuty    runbook.Secret            `config:"pagerduty"`
	Alertmanager runbook.Secret            `config:"alertmanager"`
	Heartbeats   runbook.Secret            `config:"heartbeats"`
	Railway      map[string]runbook.Secret `config:"railway"`
}

type automation struct {
	KillFile string   `config:"kill_file"`
	Policies []policy `config:"policies"`
}

type policy struct {
	Environment string   `config:"environment,required"`
	Mode        string   `config:"mode,required"`
	PerHour     int      `config:"per_hour"`
	Playbooks   []string `config:"playbooks"`
}

type limits struct {
	ResponseTime  time.Duration `config:"response_time"`
	ErrorRate     float64       `config:"error_rate"`
	MemoryWarning float64       `config:"memory_warning"`
	Memory        float64       `config:"memory"`
	RecentErrors  int           `config:"recent_errors"`
	SlowTask      time.Duration `config:"slow_task"`
	BackupAge     time.Duration `config:"backup_age"`
	CredentialAge time.Duration `config:"credential_age"`
	DumpAge       time.Duration `config:"dump_age"`
	Approvers     int           `config:"approvers"`
}

// addresses are where people are told by chat and mail. What is empty is as the runbook has it.
type addresses struct {
	AlertsChat           string `config:"alerts_chat"`
	AlertsMail           string `config:"alerts_mail"`
	StatusChat           string `config:"status_chat"`
	StatusMail           string `config:"status_mail"`
	Operations           string `config:"operations"`
	SystemAdministrators string `config:"system_administrators"`
	Development          string `config:"development"`
	LeadDeveloper        string `config:"lead_developer"`
	CanvasAdministrators string `config:"canvas_administrators"`
	CanvasSupport        string `config:"canvas_support"`
	Infrastructure       string `config:"infrastructure"`
	RailwaySupport       string `config:"railway_support"`
}

// acknowledge are the response times by severity.
type acknowledge struct {
	Critical time.Duration `config:"critical"`
	High     time.Duration `config:"high"`
	Medium   time.Duration `config:"medium"`
	Low      time.Duration `config:"low"`
}

// reports are the times of day of what is done by the clock.
type reportTimes struct {
	Backups  string `config:"backups"`
	Morning  string `config:"morning"`
	EndOfDay string `config:"end_of_day"`
	Weekly   string `config:"weekly"`
	Monthly  string `config:"monthly"`
}

// times are those times; what is no time was told before.
func (r reportTimes) times() (t playbooks.ReportTimes) {
	for text, to := range r.each(&t) {
		*to, _ = health.ParseTimeOfDay(text)
	}
	return t
}

func (r reportTimes) each(t *playbooks.ReportTimes) iter.Seq2[string, *health.TimeOfDay] {
	return func(yield func(string, *health.TimeOfDay) bool) {
		_ = yield(r.Backups, &t.Backups) && yield(r.Morning, &t.Morning) && yield(r.EndOfDay, &t.EndOfDay) && yield(r.Weekly, &t.Weekly) && yield(r.Monthly, &t.Monthly)
	}
}

// intervals are how often it is looked.
type intervals struct {
	Application time.Duration `config:"application"`
	Canvas      time.Duration `config:"canvas"`
	Database    time.Duration `config:"database"`
	Performance time.Duration `config:"performance"`
}

type statusPage struct {
	Title       string `config:"title"`
	Description string `config:"description"`
}

// estateSettings make opsd run on the embedded estate instead of on real systems.
type estateSettings struct {
	Seed   int      `config:"seed"`
	Faults []string `config:"faults"`
}

type environment struct {
	Name        string            `config:"name,required"`
	Application string            `config:"application,required"`
	Token       runbook.Secret    `config:"token"`
	WebSocket   string            `config:"websocket"`
	Instance    string            `config:"instance"`
	Railway     *railwaySettings  `config:"railway"`
	Canvas      *canvasSettings   `config:"canvas"`
	LTI         *ltiSettings      `config:"lti"`
	Database    *databaseSettings `config:"database"`
	Redis       runbook.Secret    `config:"redis"`
	Rotate      map[string]string `config:"rotate"`
	Task        []string          `config:"task"`
	Migrate     []string          `config:"migrate"`
	Dumps       *dumpSettings     `config:"dumps"`
	Rebuild     *rebuildSettings  `config:"rebuild"`
}

type railwaySettings struct {
	Token       runbook.Secret `config:"token,required"`
	Kind        string         `config:"kind"`
	Project     string         `config:"project"`
	Environment string         `config:"environment"`
	Service     string         `config:"service,required"`
	Database    string         `config:"database"`
}

type canvasSettings struct {
	URL     string         `config:"url,required"`
	Token   runbook.Secret `config:"token,required"`
	Account string         `config:"account"`
	Key     string         `config:"key"`

	ClientID  string   `config:"client_id_variable"`
	Rotations []string `config:"rotations"`
}

type ltiSettings struct {
	ClientID   string         `config:"client_id,required"`
	Account    string         `config:"account"`
	PrivateKey runbook.Secret `config:"private_key"`
	JWKS       string         `config:"jwks"`
	Login      string         `config:"login"`
	Launch     string         `config:"launch"`
	Scopes     []string       `config:"scopes"`
}

type databaseSettings struct {
	URL runbook.Secret `config:"url,required"`
}

// Defaults of the settings.
const (
	defaultListen  = "127.0.0.1:8787"
	defaultFolder  = "/var/lib/opsd" // of real systems: the state of the embedded estate goes with its process
	defaultZone    = "Australia/Sydney"
	defaultSession = 12 * time.Hour
)

// What a person may do with opsd.
var accesses = []string{"viewer", "operator", "approver", "administrator"}

// Forms of what is checked.
var (
	nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	idForm   = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	hookForm = regexp.MustCompile(`^[A-Za-z0-9_-]{16,}$`) // that of railway.WebhookConfig
)

// How long secrets are at least. Whoever has seen something that was made with a shorter one
// may find it by trying.
const (
	shortestToken      = 16
	shortestSessionKey = 32
)

// load reads a configuration. What is wrong with it is in its file: see problems.
func load(src config.Source) *settings {
	s := &settings{}
	s.file = config.Decode(src, s)
	s.complete()
	s.validateServer()
	s.validateSignIn()
	s.validatePeople()
	s.validateNumbers()
	s.validateTimes()
	s.validateEnvironments()
	s.validateAutomation()
	s.validateRecovery()
	s.validateTelemetry()
	return s
}

// problems returns everything that is wrong, or nil.
func (s *settings) problems() error { return s.file.Err() }

// complete fills in the defaults.
func (s *settings) complete() {
	setDefault(&s.Server.Listen, defaultListen)
	setDefault(&s.Zone, defaultZone)
	if s.State.Folder == "" && s.State.Postgres.IsZero() && s.Estate == nil {
		s.State.Folder = defaultFolder
	}
	if s.SignIn != nil {
		setDefault(&s.SignIn.Claim, "email")
		setDefault(&s.SignIn.Session, defaultSession)
	}
	setDefault(&s.StatusPage.Title, "QA automation")
	s.completeRecovery()
	zone, err := health.LoadZone(s.Zone)
	if err != nil {
		s.file.Problem("zone", "must be the name of a time zone, such as Australia/Sydney")
		zone = time.UTC
	}
	s.zone = zone
	s.names = make(map[string]environment)
	for _, e := range s.Environments {
		s.names[e.Name] = e
	}
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func (s *settings) validateServer() {
	if _, _, err := net.SplitHostPort(s.Server.Listen); err != nil {
		s.file.Problem("server.listen", "must be host:port, such as 127.0.0.1:8787")
	}
	if s.Server.URL != "" {
		if u, err := url.Parse(s.Server.URL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" {
			s.file.Problem("server.url", "must be the address as people see it, without a path: https://ops.example.edu")
		}
	} else if !isLoopback(s.Server.Listen) {
		s.file.Problem("server.url", "is missing: when others than this machine are served, opsd must know how they see it")
	}
	s.absolute("state.folder", s.State.Folder)
	if s.State.Folder != "" && !s.State.Postgres.IsZero() {
		s.file.Problem("state", "has a folder and a PostgreSQL; give one of them")
	}
	if s.State.ConfirmedBy != "" && !slices.ContainsFunc(s.People, func(p person) bool { return p.Name == s.State.ConfirmedBy }) {
		s.file.Problem("state.confirmed_by", "is nobody among people: whoever takes that risk is named")
	}
}

func (s *settings) validateSignIn() {
	if s.SignIn == nil {
		return
	}
	if !strings.HasPrefix(s.SignIn.Issuer, "https://") && !loopbackURL(s.SignIn.Issuer) {
		s.file.Problem("sign_in.issuer", "must begin with https://")
	}
	if s.Server.URL == "" {
		s.file.Problem("server.url", "is missing: the issuer of sign_in sends people back to it")
	}
	if isShort(s.SignIn.SessionKey, shortestSessionKey) {
		s.file.Problem("sign_in.session_key", "must have at least %d bytes: else sessions could be forged", shortestSessionKey)
	}
}

// isShort reports whether a secret is there, and shorter than it has to be.
func isShort(secret runbook.Secret, least int) bool {
	return !secret.IsZero() && len(secret.Reveal()) < least
}

func (s *settings) validatePeople() {
	names, logins := make(map[string]bool), make(map[string]bool)
	onCall := false
	for i, p := range s.People {
		path := fmt.Sprintf("people[%d]", i)
		if names[strings.ToLower(p.Name)] {
			s.file.Problem(path+".name", "is there twice: nobody approves what they started, so each person has one name")
		}
		names[strings.ToLower(p.Name)] = true
		if p.Login != "" && logins[strings.ToLower(p.Login)] {
			s.file.Problem(path+".login", "is that of somebody else too")
		}
		logins[strings.ToLower(p.Login)] = true
		onCall = onCall || p.OnCall
		if p.OnCall && p.Mail == "" && p.Phone == "" {
			s.file.Problem(path, "is on call and cannot be reached: give mail or phone")
		}
		if p.Phone != "" {
			s.phone(path+".phone", p.Phone)
		}
		for j, a := range p.Access {
			if !slices.Contains(accesses, a) {
				s.file.Problem(fmt.Sprintf("%s.access[%d]", path, j), "must be %s", strings.Join(accesses, ", "))
			}
		}
		if p.Login != "" && s.SignIn == nil {
			s.file.Problem(path+".login", "is for sign_in, which is not configured")
		}
		if isShort(p.Token, shortestToken) {
			s.file.Problem(path+".token", "must have at least %d bytes: else it could be guessed", shortestToken)
		}
		for j := range i {
			if !p.Token.IsZero() && p.Token.Equal(s.People[j].Token) {
				s.file.Problem(path+".token", "is that of somebody else too")
			}
		}
	}
	if len(s.People) > 0 && !onCall {
		s.file.Problem("people", "nobody is on call: give at least one person on_call: true")
	}
}

func (s *settings) validateNumbers() {
	for _, n := range []struct{ key, value string }{
		{"operations", s.Numbers.Operations}, {"development", s.Numbers.Development}, {"canvas_emergency", s.Numbers.CanvasEmergency},
		{"operations_manager", s.Numbers.OperationsManager}, {"it_director", s.Numbers.ITDirector}, {"canvas_administrator", s.Numbers.CanvasAdministrator}, {"helpdesk", s.Numbers.Helpdesk},
	} {
		switch {
		case s.Estate != nil && n.value == "": // nobody is called there
		case n.value == "":
			s.file.Problem("numbers", "%s is missing: the escalation calls it", n.key)
		default:
			s.phone("numbers."+n.key, n.value)
		}
	}
}

// validateTimes looks at the times of reports, and at response times.
func (s *settings) validateTimes() {
	for key, text := range map[string]string{"backups": s.Reports.Backups, "morning": s.Reports.Morning, "end_of_day": s.Reports.EndOfDay, "weekly": s.Reports.Weekly, "monthly": s.Reports.Monthly} {
		if t, err := health.ParseTimeOfDay(text); text != "" && (err != nil || t == 0) {
			s.file.Problem("reports."+key, "must be a time of day from 00:01 to 23:59, such as 08:00")
		}
	}
	for key, d := range map[string]time.Duration{"critical": s.Acknowledge.Critical, "high": s.Acknowledge.High, "medium": s.Acknowledge.Medium, "low": s.Acknowledge.Low} {
		if d < 0 {
			s.file.Problem("acknowledge."+key, "must not be negative")
		}
	}
}

func (s *settings) phone(path, number string) {
	if err := incident.CheckPhone(number); err != nil {
		s.file.Problem(path, "must be + and 8 to 15 digits, and no placeholder")
	}
}

func (s *settings) validateEnvironments() {
	switch {
	case s.Estate != nil && len(s.Environments) > 0:
		s.file.Problem("embedded_estate", "and environments exclude each other: it is a rehearsal, or it is real")
	case s.Estate == nil && len(s.Environments) == 0:
		s.file.Problem("environments", "there is none")
	}
	if s.Estate == nil {
		s.needChannels()
	}
	if s.Estate != nil && !isLoopback(s.Server.Listen) {
		s.file.Problem("server.listen", "must be of this machine only for the embedded estate, whose tokens are known")
	}
	seen := make(map[string]bool)
	for i, e := range s.Environments {
		path := fmt.Sprintf("environments[%d]", i)
		if e.Name != "" && !nameForm.MatchString(e.Name) {
			s.file.Problem(path+".name", "must consist of small letters, digits and -")
		}
		if seen[e.Name] {
			s.file.Problem(path+".name", "is there twice")
		}
		if e.Name == "prod" { // the host would rename it, and its policy and receivers would be lost
			s.file.Problem(path+".name", "must be production: that is its name in opsd")
		}
		seen[e.Name] = true
		s.checkAddress(path+".application", e.Application)
		if e.Canvas != nil {
			s.checkAddress(path+".canvas.url", e.Canvas.URL)
		}
		s.validateRailway(path+".railway", e.Railway)
		for name, previous := range e.Rotate {
			if previous == "" || previous == name {
				s.file.Problem(path+".rotate."+name, "must be the variable in which the former value is meanwhile")
			}
		}
	}
}

// validateRailway finds what is wrong with where an environment is on the platform. Names
// would have to be looked up there, when opsd starts and when a replica takes charge.
func (s *settings) validateRailway(path string, r *railwaySettings) {
	if r == nil {
		return
	}
	if r.Kind != "" && !slices.Contains([]string{"project", "workspace", "account"}, r.Kind) {
		s.file.Problem(path+".kind", "must be project, workspace or account: what sort of token it is")
	}
	for _, x := range []struct{ key, value string }{{"project", r.Project}, {"environment", r.Environment}, {"service", r.Service}, {"database", r.Database}} {
		if !idForm.MatchString(x.value) && (x.value != "" || x.key != "database") {
			s.file.Problem(path+"."+x.key, "must be an id of Railway: opsd has to start while Railway cannot be asked for names")
		}
	}
}

// needChannels finds what is missing for telling people.
func (s *settings) needChannels() {
	for _, c := range []struct {
		key string
		is  bool
	}{{"slack", s.Channels.Slack != nil}, {"mail", s.Channels.Mail != nil}, {"phone", s.Channels.Phone != nil}} {
		if !c.is {
			s.file.Problem("channels", "%s is missing: the runbook tells people by chat, mail and phone", c.key)
		}
	}
	if s.Security == "" {
		s.file.Problem("security_contact", "is missing: a suspected breach has to be told to somebody")
	}
}

func (s *settings) checkAddress(path, address string) {
	u, err := url.Parse(address)
	if address == "" || err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil {
		return
	}
	if !loopbackURL(address) {
		s.file.Problem(path, "must be an address that begins with https://, without user name and password")
	}
}

func (s *settings) validateAutomation() {
	s.absolute("automation.kill_file", s.Automation.KillFile)
	for i, p := range s.Automation.Policies {
		path := fmt.Sprintf("automation.policies[%d]", i)
		if !slices.Contains([]incident.Mode{incident.Observe, incident.Suggest, incident.Act}, incident.Mode(p.Mode)) {
			s.file.Problem(path+".mode", "must be observe, suggest or act")
		}
		if _, known := s.names[p.Environment]; !known && s.Estate == nil {
			s.file.Problem(path+".environment", "is none of environments")
		}
		if p.PerHour < 0 {
			s.file.Problem(path+".per_hour", "must not be negative")
		}
	}
	wrong := host.Intervals(s.Intervals).Check()
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		s.file.Problem("intervals."+name, "%v", wrong[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Receivers.Railway)) {
		if e, known := s.names[name]; !known || e.Railway == nil {
			s.file.Problem("receivers.railway."+name, "is no environment with railway")
		}
		if secret := s.Receivers.Railway[name]; !secret.IsZero() && !hookForm.MatchString(secret.Reveal()) {
			s.file.Problem("receivers.railway."+name, "must have at least 16 letters, digits, - and _: it is part of an address")
		}
	}
}

// address is that of opsd, as people see it, without a slash at the end.
func (s *settings) address() string {
	if s.Server.URL != "" {
		return strings.TrimSuffix(s.Server.URL, "/")
	}
	return "http://" + s.Server.Listen
}

// isLoopback reports whether an address to listen on is of this machine only.
func isLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// loopbackURL reports whether an address leads to this machine.
func loopbackURL(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}
