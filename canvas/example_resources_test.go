package canvas_test

import (
	"context"
	"fmt"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// A compromised developer key is switched off, and what it is now is read back.
func ExampleClient_BindDeveloperKey() {
	fake := &canvastest.Server{}
	key := canvas.ID(fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA Automation"}))
	client, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if _, err := client.BindDeveloperKey(ctx, canvas.Self, key, canvas.BindingOff); err != nil {
		fmt.Println(err)
		return
	}
	k, err := client.GetDeveloperKey(ctx, canvas.Self, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	binding, _ := k.Binding.Get()
	fmt.Println(k.Name, "is", binding.State, "and its secret is", k.APIKey)
	// Output: QA Automation is off and its secret is [redacted]
}

// Fields that Canvas leaves out, or has no value for, are told apart from zero.
func ExampleClient_Courses() {
	fake := &canvastest.Server{}
	for _, name := range []string{"Biology", "Chemistry"} {
		fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": name, "start_at": nil})
	}
	client, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for course, err := range client.Courses(context.Background(), canvas.Self, &canvas.CoursesOptions{Published: canvas.Value(true)}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		_, counted := course.TotalStudents.Get()
		fmt.Println(course.Name, "starts with its term:", course.StartAt.IsNull(), "students counted:", counted)
	}
	// Output:
	// Biology starts with its term: true students counted: false
	// Chemistry starts with its term: true students counted: false
}

// A file is sent as it is read; its size is known beforehand.
func ExampleClient_UploadFile() {
	fake := &canvastest.Server{}
	course := canvas.ID(fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"}))
	client, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	const report = "all tests passed\n"
	file, err := client.UploadFile(context.Background(), course.Ref(), canvas.Upload{
		Name: "report.txt", Size: int64(len(report)), ContentType: "text/plain", Content: strings.NewReader(report),
		OnProgress: func(sent int64) { fmt.Println(sent, "bytes sent") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(file.DisplayName, file.Size)
	// Output:
	// 17 bytes sent
	// report.txt 17
}
