package controlplane

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"ingot.dev/ingot/metal-controller/ingot/statedir"
)

// socketFile in the state folder names the socket of the etcd that runs on it: long paths have theirs elsewhere.
const socketFile = "etcd.socket"

// dialTimeout bounds the wait for a socket that nobody answers.
const dialTimeout = 10 * time.Second

// RootFiles are the files below the state folder on which the data depends, and which cannot be made again: the two CAs, the key of service account
// tokens, and the key that seals Secrets. All other certificates are made anew.
func RootFiles() []string {
	return []string{"pki/server-ca.pem", "pki/client-ca.pem", "pki/service-accounts.key", "pki/encryption.yaml"}
}

// DatabaseFile is where a snapshot of etcd lies below the state folder while it is being restored, and in a backup.
const DatabaseFile = "etcd/snapshot.db"

// Snapshot writes a consistent copy of all data of the control plane that runs on the state folder dir, as etcd keeps it, through etcd's own socket.
func Snapshot(ctx context.Context, dir string, to *os.File) error {
	path, err := os.ReadFile(filepath.Join(dir, socketFile))
	if err != nil {
		return fmt.Errorf("finding the running control plane of %s: %w; it may be starting: try again in a moment", dir, err)
	}
	address := url.URL{Scheme: "unix", Path: string(path)}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{address.String()}, DialTimeout: dialTimeout, Logger: zap.NewNop(), Context: ctx})
	if err != nil {
		return fmt.Errorf("connecting to etcd: %w", err)
	}
	defer c.Close()
	if err := answers(ctx, c, address.String()); err != nil {
		return err
	}
	stream, err := c.Snapshot(ctx)
	if err != nil {
		return fmt.Errorf("asking etcd for a snapshot: %w", err)
	}
	defer stream.Close()
	if _, err := io.Copy(to, stream); err != nil {
		return fmt.Errorf("reading a snapshot of etcd: %w", err)
	}
	return trim(to)
}

// answers keeps a socket that nobody serves from holding the backup up for ever.
func answers(ctx context.Context, c *clientv3.Client, address string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := c.Status(ctx, address); err != nil {
		return fmt.Errorf("asking etcd at %s: %w", address, err)
	}
	return nil
}

// SnapshotStopped is Snapshot of a control plane that does not run. The caller holds the folder's lock.
func SnapshotStopped(ctx context.Context, dir string, to *os.File) error {
	established, err := hasData(dir)
	if err != nil {
		return fmt.Errorf("looking for data: %w", err)
	}
	if !established {
		return fmt.Errorf("there is no data in %s yet: Ingot never ran on it", dir)
	}
	e, err := startEtcd(ctx, dir, io.Discard)
	if err != nil {
		return err
	}
	defer e.stop()
	return Snapshot(ctx, dir, to)
}

// trim checks the SHA-256 that etcd puts behind a snapshot, and cuts it off: bbolt's files are multiples of 512 bytes long.
func trim(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size() - sha256.Size
	if size <= 0 || size%512 != 0 {
		return fmt.Errorf("the snapshot of etcd is cut off: it has %d bytes", info.Size())
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, size)); err != nil {
		return fmt.Errorf("checking the snapshot of etcd: %w", err)
	}
	want := make([]byte, sha256.Size)
	if _, err := f.ReadAt(want, size); err != nil {
		return fmt.Errorf("checking the snapshot of etcd: %w", err)
	}
	if string(sum.Sum(nil)) != string(want) {
		return errors.New("the snapshot of etcd was damaged on its way; run the command again")
	}
	return f.Truncate(size)
}

// UseSnapshot makes the snapshot that lies at DatabaseFile below dir the data of the control plane that starts there next. The caller holds the lock.
func UseSnapshot(dir string) error {
	from := filepath.Join(dir, filepath.FromSlash(DatabaseFile))
	if err := forgetCluster(from); err != nil {
		return fmt.Errorf("preparing the data: %w", err)
	}
	to := filepath.Join(dir, "etcd", "member", "snap", "db")
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return fmt.Errorf("preparing the data: %w", err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("preparing the data: %w", err)
	}
	return nil
}

// forgetCluster takes out of a snapshot what belongs to the etcd that made it: its members, and how far it had applied its log. A new etcd begins a
// new log at 1 and would pass over all entries up to the old index.
func forgetCluster(path string) (err error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("opening the snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(schema.Meta.Name())
		if meta == nil || tx.Bucket(schema.Key.Name()) == nil {
			return errors.New("it is no snapshot of etcd")
		}
		for _, key := range [][]byte{schema.MetaConsistentIndexKeyName, schema.MetaTermKeyName, schema.MetaConfStateName} {
			if err := meta.Delete(key); err != nil {
				return err
			}
		}
		for _, bucket := range [][]byte{schema.Members.Name(), schema.MembersRemoved.Name()} {
			if tx.Bucket(bucket) == nil {
				continue
			}
			if err := tx.DeleteBucket(bucket); err != nil {
				return err
			}
			if _, err := tx.CreateBucket(bucket); err != nil {
				return err
			}
		}
		return nil
	})
}

// nameSocket leaves the path of etcd's socket for Snapshot.
func nameSocket(dir, path string) error {
	return statedir.WriteFile(filepath.Join(dir, socketFile), []byte(path), 0o600)
}
