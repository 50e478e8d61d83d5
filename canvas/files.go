package canvas

import (
	"context"
	"encoding/json"
	"iter"
	"net/url"

	"go.acu.edu.au/runbook"
)

// A File is one file that is stored in Canvas (docs: Files).
type File struct {
	// ID is Canvas's number for the file.
	ID ID `json:"id"`
	// FolderID is the folder that it is in.
	FolderID ID `json:"folder_id"`
	// DisplayName is its name.
	DisplayName string `json:"display_name"`
	// Filename is the name with which it was uploaded, with some characters
	// escaped.
	Filename string `json:"filename"`
	// ContentType is its media type.
	ContentType string `json:"content-type"`
	// Size is its size in bytes.
	Size int64 `json:"size"`
	// URL is where it can be read by whoever has the address, without logging
	// in. It is therefore secret, and empty if the file is locked for the user.
	URL runbook.Secret `json:"-"`
	// Locked says that students cannot open it.
	Locked bool `json:"locked"`
	// Hidden says that students see it only through a link.
	Hidden bool `json:"hidden"`
	// UnlockAt is from when students can open it.
	UnlockAt Null[Time] `json:"unlock_at"`
	// LockAt is until when students can open it.
	LockAt Null[Time] `json:"lock_at"`
	// CreatedAt is when it was stored.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
	// UploadStatus is "success", "pending" or "errored".
	UploadStatus Null[string] `json:"upload_status"`
}

// UnmarshalJSON reads a file and hides its address at once.
func (f *File) UnmarshalJSON(data []byte) error {
	type fields File
	in := struct {
		*fields
		URL hidden `json:"url"`
	}{fields: (*fields)(f)}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	f.URL = in.URL.text
	return nil
}

// A Folder holds files (docs: Files).
type Folder struct {
	// ID is Canvas's number for the folder.
	ID ID `json:"id"`
	// ParentID is the folder that it is in; null means that it is the uppermost
	// one.
	ParentID Null[ID] `json:"parent_folder_id"`
	// Name is its name.
	Name string `json:"name"`
	// FullName is its name with all above: "course files/unfiled".
	FullName string `json:"full_name"`
	// FilesCount is how many files are directly in it.
	FilesCount int `json:"files_count"`
	// FoldersCount is how many folders are directly in it.
	FoldersCount int `json:"folders_count"`
	// Locked says that students cannot open it.
	Locked bool `json:"locked"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
}

// Files lists the files of a course, those of all its folders (docs: Files,
// "List files"). search is a part of the name; empty means all.
func (c *Client) Files(ctx context.Context, course Ref, search string) iter.Seq2[File, error] {
	query := url.Values{}
	setText(query, "search_term", search)
	return list[File](ctx, c, "list files", Path("courses", string(course), "files"), query)
}

// FolderFiles lists the files that are directly in a folder (docs: Files, "List
// files").
func (c *Client) FolderFiles(ctx context.Context, folder ID) iter.Seq2[File, error] {
	return list[File](ctx, c, "list files of folder", Path("folders", folder.String(), "files"), nil)
}

// Folders lists the folders of a course, those within others too (docs: Files,
// "List all folders").
func (c *Client) Folders(ctx context.Context, course Ref) iter.Seq2[Folder, error] {
	return list[Folder](ctx, c, "list folders", Path("courses", string(course), "folders"), nil)
}

// GetFile returns a file, not what is in it (docs: Files, "Get file").
func (c *Client) GetFile(ctx context.Context, file ID) (File, error) {
	return get[File](ctx, c, "get file", Path("files", file.String()), nil)
}

// DeleteFile deletes a file for good: nothing brings it back (docs: Files,
// "Delete file"). It is repeated after a failure, so that [ErrNotFound] may mean
// that the first attempt did it.
func (c *Client) DeleteFile(ctx context.Context, file ID) error {
	return remove(ctx, c, "delete file", Path("files", file.String()), nil)
}

// GetFileQuota returns how many bytes the files of a course may take, and how
// many they do (docs: Files, "Get quota information").
func (c *Client) GetFileQuota(ctx context.Context, course Ref) (quota, used int64, err error) {
	out, err := get[struct {
		Quota int64 `json:"quota"`
		Used  int64 `json:"quota_used"`
	}](ctx, c, "get file quota", Path("courses", string(course), "files", "quota"), nil)
	return out.Quota, out.Used, err
}
