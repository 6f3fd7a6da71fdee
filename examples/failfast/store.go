package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	_ "modernc.org/sqlite" // the driver
)

// A store is a table in a database that goes down after some rows.
type store struct{ db *sql.DB }

// open makes the file and the table. Nothing is synchronised with the disk: the file is
// for this run only.
func open(ctx context.Context, file string) (*store, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?_pragma=synchronous(off)&_pragma=journal_mode(wal)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1) // SQLite has one writer at a time: the jobs wait here, not for its lock
	if _, err := db.ExecContext(ctx, "CREATE TABLE documents (id INTEGER PRIMARY KEY, sum BLOB NOT NULL)"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &store{db}, nil
}

// insert writes a row.
func (s *store) insert(ctx context.Context, id int, sum []byte) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO documents (id, sum) VALUES (?, ?)", id, sum)
	return err
}

// goDown closes the database while jobs use it.
func (s *store) goDown() error { return s.db.Close() }

// count opens the file of a database that went down again, and counts the rows.
func count(ctx context.Context, file string) (n int, err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM documents").Scan(&n)
	return n, err
}
