package ltitest

import (
	"slices"
	"strconv"
)

// Roles, as LTI Core 1.3, appendix A, names them.
const (
	RoleInstructor         = "http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"
	RoleLearner            = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
	RoleTeachingAssistant  = "http://purl.imsglobal.org/vocab/lis/v2/membership/Instructor#TeachingAssistant"
	RoleInstitutionStaff   = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Instructor"
	RoleInstitutionStudent = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Student"
)

// Ids of the people in the course that exists at the beginning.
const (
	Instructor   = "8b5e0f50-7a3c-4f39-9b6f-0c1d2e3f4a5b" // teaches
	Student      = "2f6c8a14-91d7-4be0-8d35-7e0f1a2b3c4d" // learns
	OtherStudent = "c4b3a291-08f7-4e6d-9c5b-4a39281706f5" // learns, and is inactive
)

// A User is a person at the platform.
type User struct {
	ID                                      string // sub
	Name, GivenName, FamilyName, MiddleName string
	Email, Picture, Locale                  string
	SourcedID                               string // the id in a student information system
	LegacyID                                string // the id in LTI 1.1
}

// A Member is a user in a course.
type Member struct {
	User User
	// Roles are those in the course.
	Roles []string
	// Status is "Active", "Inactive" or "Deleted". Empty means active, and that
	// it is left out, as NRPS 2.0 allows.
	Status string
}

// A Course is a context.
type Course struct {
	// ID is the id of the context. Empty means a new one.
	ID string
	// Label and Title are its names.
	Label, Title string
	// Type is what it is. Nil means a course offering.
	Type []string
	// Members are its people.
	Members []Member
}

// course is a Course and what tools did to it.
type course struct {
	Course
	number  int // in addresses
	items   []*lineItem
	version int        // counts changes of the membership
	changes []changeOf // of members, for differences
	links   []string   // resource links that were launched
}

type changeOf struct {
	version int
	member  Member
}

func defaultCourse() Course {
	return Course{
		Label: "BIOL101", Title: "Biology 101: Foundations of the Life Sciences",
		Members: []Member{
			{User: User{
				ID: Instructor, Name: "Alex Example", GivenName: "Alex", FamilyName: "Example", Email: "alex.example@school.example",
				Picture: "https://images.school.example/50.png", Locale: "en-AU", SourcedID: "s00123456", LegacyID: "2a2aef0fbc1fe05bb7c5fb2ee7b0b2c0b4b4a7f0",
			}, Roles: []string{RoleInstructor, RoleInstitutionStaff}, Status: "Active"},
			{User: User{
				ID: Student, Name: "Sam Sample", GivenName: "Sam", FamilyName: "Sample", Email: "sam.sample@school.example", Locale: "en", SourcedID: "s00654321",
			}, Roles: []string{RoleLearner, RoleInstitutionStudent}},
			{User: User{
				ID: OtherStudent, Name: "Kim O'Model", GivenName: "Kim", FamilyName: "O'Model", Email: "kim.model@school.example",
			}, Roles: []string{RoleLearner}, Status: "Inactive"},
		},
	}
}

// AddCourse adds a course, and returns its id. It panics if the id is taken.
func (p *Platform) AddCourse(c Course) string {
	defer p.lock()()
	return p.addCourse(c)
}

func (p *Platform) addCourse(c Course) string {
	number := 1234 + len(p.courses)
	if c.ID == "" {
		c.ID = opaque("context", number)
	}
	for _, other := range p.courses {
		if other.ID == c.ID {
			panic("ltitest: there is a course " + strconv.Quote(c.ID) + " already")
		}
	}
	if c.Type == nil {
		c.Type = []string{"http://purl.imsglobal.org/vocab/lis/v2/course#CourseOffering"}
	}
	c.Members = slices.Clone(c.Members)
	p.courses = append(p.courses, &course{Course: c, number: number})
	return c.ID
}

// SetMember adds a member to a course, or changes the one with the same id. With
// the status "Deleted" he is in the list of differences only. An empty course is
// the first one; it panics if there is no such course.
func (p *Platform) SetMember(courseID string, m Member) {
	defer p.lock()()
	c := p.mustCourse(courseID)
	c.version++
	c.changes = append(c.changes, changeOf{c.version, m})
	c.Members = slices.DeleteFunc(c.Members, func(other Member) bool { return other.User.ID == m.User.ID })
	if m.Status != "Deleted" {
		c.Members = append(c.Members, m)
	}
}

func (p *Platform) mustCourse(id string) *course {
	if id == "" && len(p.courses) > 0 {
		return p.courses[0]
	}
	for _, c := range p.courses {
		if c.ID == id {
			return c
		}
	}
	panic("ltitest: there is no course " + strconv.Quote(id) + ": add it with AddCourse")
}

func (c *course) member(id string) *Member {
	for i := range c.Members {
		if c.Members[i].User.ID == id {
			return &c.Members[i]
		}
	}
	return nil
}
