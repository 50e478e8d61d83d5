//go:build unix

package services

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// EximProgram is the exim4 program, for tests that send mail through a real server.
const EximProgram = "RUNBOOK_EXIM"

// Exim is a mail server of one test: with its own configuration, spool and mailbox, on its
// own port of 127.0.0.1, ended and removed with the test. It offers STARTTLS, and under it
// AUTH PLAIN and LOGIN; it takes mail from those who have authenticated only, and puts all
// of it into one mailbox. Its methods belong to the goroutine of the test.
type Exim struct {
	t       testing.TB
	program string
	folder  string
	port    int
	owner   *syscall.Credential
	output  *tail
	process *process
}

// EximConfig says who may send.
type EximConfig struct {
	// Certificate and Key are those of the server, PEM.
	Certificate, Key []byte
	// Username and Password are the credentials, of letters and digits.
	Username, Password string
}

// StartExim starts the program of [EximProgram]. Run by root it runs as the user
// "Debian-exim", since it delivers nothing as root.
func StartExim(t testing.TB, cfg EximConfig) *Exim {
	t.Helper()
	e := &Exim{t: t, program: Need(t, EximProgram), owner: eximUser(t), output: new(tail)}
	folder, err := os.MkdirTemp("", "runbook-exim-") // t.TempDir is closed to other users
	if err != nil {
		t.Fatalf("make a folder for exim: %v", err)
	}
	e.folder = folder
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("remove the folder of exim: %v", err)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(folder, "spool", "log", "mainlog"))
			t.Logf("exim said:\n%s\n%s", e.output, log)
		}
	})
	t.Cleanup(e.kill)
	e.write("cert.pem", cfg.Certificate)
	e.write("key.pem", cfg.Key)
	settings := strings.NewReplacer("FOLDER", folder, "USERNAME", cfg.Username, "PASSWORD", cfg.Password).Replace(eximSettings)
	e.write("exim.conf", []byte(settings))
	if err := os.Mkdir(filepath.Join(folder, "spool"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.give(filepath.Join(folder, "spool"))
	e.give(folder)
	if err := startOnFreePort(t, func(port int) error { e.port = port; return e.start() }); err != nil {
		t.Fatal(err)
	}
	return e
}

// eximSettings is a server that keeps its privileges to itself and all mail in a folder.
const eximSettings = `
primary_hostname = mail.example.edu
spool_directory = FOLDER/spool
log_file_path = FOLDER/spool/log/%slog
pid_file_path = FOLDER/exim.pid
deliver_drop_privilege
queue_only = false
rfc1413_query_timeout = 0s
keep_environment =
host_lookup =
tls_advertise_hosts = *
tls_certificate = FOLDER/cert.pem
tls_privatekey = FOLDER/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = rcpt
acl_smtp_data = data

begin acl
rcpt:
  deny message = nobody of that name
       local_parts = nobody
  accept authenticated = *
  deny message = relay not permitted
data:
  accept

begin routers
all:
  driver = accept
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  directory = FOLDER/mail
  maildir_format
  create_directory
  batch_max = 100
  delivery_date_add
  envelope_to_add
  return_path_add

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{USERNAME}}{eq{$auth3}{PASSWORD}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{USERNAME}}{eq{$auth2}{PASSWORD}}}}
  server_set_id = $auth1
`

// Port is the port of 127.0.0.1 on which it listens.
func (e *Exim) Port() int { return e.port }

// Mails returns what is in the mailbox, after at most ten seconds in which there are fewer
// than n. Their order is that of their arrival.
func (e *Exim) Mails(n int) (mails [][]byte) {
	e.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		// The names begin with the time of the arrival.
		files, err := filepath.Glob(filepath.Join(e.folder, "mail", "new", "*"))
		if err != nil {
			e.t.Fatal(err)
		}
		if len(files) >= n || time.Now().After(deadline) {
			for _, file := range files {
				mail, err := os.ReadFile(file)
				if err != nil {
					e.t.Fatal(err)
				}
				mails = append(mails, mail)
			}
			return mails
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (e *Exim) write(name string, content []byte) {
	e.t.Helper()
	file := filepath.Join(e.folder, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		e.t.Fatal(err)
	}
	e.give(file)
}

// give makes a file that of the user who runs the server.
func (e *Exim) give(file string) {
	e.t.Helper()
	if e.owner == nil {
		return
	}
	if err := os.Chown(file, int(e.owner.Uid), int(e.owner.Gid)); err != nil {
		e.t.Fatalf("give exim its files: %v", err)
	}
}

func (e *Exim) start() error {
	cmd := exec.CommandContext(context.WithoutCancel(e.t.Context()), e.program,
		"-C", filepath.Join(e.folder, "exim.conf"), "-bdf", "-oX", "127.0.0.1."+strconv.Itoa(e.port))
	cmd.Dir = e.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if e.owner != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: e.owner}
	}
	var err error
	if e.process, err = startProcess(cmd, "exim", e.output); err != nil {
		return err
	}
	if err := e.process.ready(15*time.Second, e.answers); err != nil {
		e.process.kill()
		return err
	}
	return nil
}

func (e *Exim) answers() bool {
	conn, err := net.DialTimeout("tcp4", address(e.port), time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(5*time.Second)) != nil {
		return false
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(greeting, "220 ") {
		return false
	}
	_, err = fmt.Fprint(conn, "QUIT\r\n")
	return err == nil
}

func (e *Exim) kill() {
	if e.process != nil {
		e.process.kill()
	}
}

// eximUser returns whom the server runs as, nil for the user of the test.
func eximUser(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	found, err := user.Lookup("Debian-exim")
	if err != nil {
		Missing(t, "exim delivers nothing as root, and there is no user Debian-exim")
	}
	var ids [2]uint64
	for i, text := range []string{found.Uid, found.Gid} {
		if ids[i], err = strconv.ParseUint(text, 10, 32); err != nil {
			t.Fatalf("the user Debian-exim: %v", err)
		}
	}
	return &syscall.Credential{Uid: uint32(ids[0]), Gid: uint32(ids[1])}
}
