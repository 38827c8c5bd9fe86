// Verify checks a C2SP transparency log with the Go project's own code, golang.org/x/mod/sumdb/note and sumdb/tlog, the code that
// the go command trusts to check the Go checksum database. This file only finds the files and names what does not fit.
//
//	verify log DIR VKEYFILE
//	verify proof FILE VKEYFILE
//
// It needs no module proxy: GO111MODULE=off GOPATH=/usr/share/gocode with Debian's golang-golang-x-mod-dev.
//
// Exit: 0 everything fits, 1 something does not, 2 wrong usage.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func main() {
	if len(os.Args) != 4 || os.Args[1] != "log" && os.Args[1] != "proof" {
		fmt.Fprintln(os.Stderr, "usage: verify log DIR VKEYFILE | verify proof FILE VKEYFILE")
		os.Exit(2)
	}
	check := verifyLog
	if os.Args[1] == "proof" {
		check = verifyProof
	}
	if err := check(os.Args[2], os.Args[3]); err != nil {
		fmt.Println("FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("OK")
}

// openCheckpoint lets sumdb/note verify the signature and reads the tree head of the note.
func openCheckpoint(message []byte, vkeyFile string) (tlog.Tree, error) {
	vkey, err := ioutil.ReadFile(vkeyFile)
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(strings.TrimSuffix(string(vkey), "\n"))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("vkey: %v", err)
	}
	opened, err := note.Open(message, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %v", err)
	}
	// tlog.ParseTree wants sumdb's own first line, so the origin takes its place once the signature is verified.
	lines := strings.SplitN(opened.Text, "\n", 2)
	if len(lines) != 2 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("checkpoint: the origin %q is not the key's name %q", lines[0], verifier.Name())
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1]))
	if err != nil {
		return tree, fmt.Errorf("checkpoint: %v", err)
	}
	for _, signature := range opened.Sigs {
		fmt.Printf("signature  %s+%08x\n", signature.Name, signature.Hash)
	}
	for _, signature := range opened.UnverifiedSigs {
		fmt.Printf("ignored    %s+%08x\n", signature.Name, signature.Hash)
	}
	fmt.Printf("size       %d\nroot       %s\n", tree.N, tree.Hash)
	return tree, nil
}

// tiles is a tlog.TileReader over the files of an export: tlog-tiles has tile/<L>/<N> where sumdb has tile/8/<L>/<N>.
type tiles struct {
	folder string
	read   map[string][]byte
}

func (t *tiles) Height() int { return height }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, known := t.read[path]
		if !known {
			var err error
			if data, err = ioutil.ReadFile(filepath.Join(t.folder, path)); err != nil {
				return nil, err
			}
			if len(data) != tile.W*tlog.HashSize {
				return nil, fmt.Errorf("%s: has %d bytes", path, len(data))
			}
			t.read[path] = data
		}
		found = append(found, data)
	}
	return found, nil
}

// SaveTiles is called with tiles that are proved to belong to the tree.
func (t *tiles) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

// treeTiles are the tiles of a tree: tlog.NewTiles would add every narrower form of the partial ones.
func treeTiles(size int64) []tlog.Tile {
	var all []tlog.Tile
	for level, count := 0, size; count > 0; level, count = level+1, count>>height {
		for at := int64(0); at < count; at += 1 << height {
			width := count - at
			if width > 1<<height {
				width = 1 << height
			}
			all = append(all, tlog.Tile{H: height, L: level, N: at >> height, W: int(width)})
		}
	}
	return all
}

func verifyLog(folder, vkeyFile string) error {
	message, err := ioutil.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(message, vkeyFile)
	if err != nil {
		return err
	}
	files := &tiles{folder, map[string][]byte{}}
	reader := tlog.TileHashReader(tree, files)

	// The root, from the tiles.
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return fmt.Errorf("tiles: %v", err)
	}
	if root != tree.Hash {
		return errors.New("checkpoint: the root is not that of the tiles")
	}

	// Every tile of every level: sumdb reads each of its hashes, and refuses a tile that does not lead to the root.
	var leaves []tlog.Hash
	for _, tile := range treeTiles(tree.N) {
		var indexes []int64
		for i := 0; i < tile.W; i++ {
			indexes = append(indexes, tlog.StoredHashIndex(tile.L*height, tile.N<<height+int64(i)))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return fmt.Errorf("%s: %v", strings.Replace(tile.Path(), "tile/8/", "tile/", 1), err)
		}
		if tile.L == 0 {
			leaves = append(leaves, hashes...)
		}
	}
	if int64(len(leaves)) != tree.N {
		return fmt.Errorf("tile/0: has %d hashes", len(leaves))
	}

	// Every entry is the one that its tile has. And the tree once more, built from the entries alone.
	var stored []tlog.Hash
	built := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	index := int64(0)
	for _, tile := range treeTiles(tree.N) {
		if tile.L != 0 {
			break
		}
		tile.L = -1
		path := strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1)
		bundle, err := ioutil.ReadFile(filepath.Join(folder, path))
		if err != nil {
			return err
		}
		for i := 0; i < tile.W; i++ {
			where := fmt.Sprintf("%s entry %d (index %d)", path, i, index)
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("%s: is cut off", where)
			}
			size := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+size]
			bundle = bundle[2+size:]
			if tlog.RecordHash(entry) != leaves[index] {
				return fmt.Errorf("%s: is not the entry that was logged", where)
			}
			hashes, err := tlog.StoredHashes(index, entry, built)
			if err != nil {
				return err
			}
			stored = append(stored, hashes...)
			index++
		}
		if len(bundle) > 0 {
			return fmt.Errorf("%s: has bytes after its last entry", path)
		}
	}
	root, err = tlog.TreeHash(tree.N, built)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return errors.New("checkpoint: the root is not that of the entries")
	}
	// The inclusion of every entry in the signed root.
	for index := int64(0); index < tree.N; index++ {
		proof, err := tlog.ProveRecord(tree.N, index, built)
		if err != nil {
			return fmt.Errorf("index %d: %v", index, err)
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaves[index]); err != nil {
			return fmt.Errorf("index %d: %v", index, err)
		}
	}
	fmt.Printf("verified   %d entries, each with its inclusion proof, and %d tiles\n", tree.N, len(files.read))
	return nil
}

// verifyProof takes a .tlog-proof apart (c2sp.org/tlog-proof) and lets sumdb/tlog check the inclusion.
func verifyProof(file, vkeyFile string) error {
	data, err := ioutil.ReadFile(file)
	if err != nil {
		return err
	}
	at := bytes.Index(data, []byte("\n\n"))
	if at < 0 {
		return errors.New("has no checkpoint")
	}
	lines := strings.Split(string(data[:at]), "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") ||
		!strings.HasPrefix(lines[2], "index ") {
		return errors.New("does not begin with its version, extra and index")
	}
	entry, err := base64.StdEncoding.Strict().DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return fmt.Errorf("extra: %v", err)
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return err
		}
		proof = append(proof, hash)
	}
	tree, err := openCheckpoint(data[at+2:], vkeyFile)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	fmt.Printf("verified   entry %d\n", index)
	return nil
}
