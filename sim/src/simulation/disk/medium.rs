//! The medium of a simulated disk: what is in the page cache, and what would be there after the
//! power has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use strandline_engine::store::{Entry, EntryKind};

use super::super::outside::ProcessId;
use crate::random::SplitMix64;

/// The unit that a medium writes whole, bytes.
const SECTOR: usize = 512;

/// A file or a directory, whatever its names.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node(usize);

/// The directory that all paths begin at.
const ROOT: Node = Node(0);

#[derive(Clone, Debug)]
pub(super) struct Medium {
    nodes: BTreeMap<Node, Content>,
    next: usize,
    /// Counts changes of directories, all over the disk.
    changes: u64,
}

#[derive(Clone, Debug)]
enum Content {
    File(File),
    Directory(Directory),
}

#[derive(Clone, Debug, Default)]
struct File {
    bytes: Vec<u8>,
    /// So many of them survive a loss of power.
    synced: usize,
    /// A sync has failed: the system has forgotten that those bytes are not on the medium, and no
    /// later sync writes them.
    forgotten: bool,
    /// Who has it open since it was created.
    owner: Option<ProcessId>,
}

#[derive(Clone, Debug, Default)]
struct Directory {
    entries: BTreeMap<String, Node>,
    /// What survives a loss of power for sure.
    durable: BTreeMap<String, Node>,
    /// What was done since the last sync, with the number of the change.
    unsynced: Vec<(u64, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Add {
        name: String,
        node: Node,
    },
    Remove {
        name: String,
    },
    /// A file has got a name in another directory.
    MoveAway {
        name: String,
        node: Node,
    },
    Rename {
        from: String,
        to: String,
        node: Node,
    },
}

/// How much a file system keeps of what was not synced.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Keeps {
    /// Everything up to some moment, as one with a journal does.
    UpTo(u64),
    /// Each change or not.
    Any,
}

impl Medium {
    pub(super) fn new() -> Medium {
        let root = Content::Directory(Directory::default());
        Medium { nodes: [(ROOT, root)].into(), next: 1, changes: 0 }
    }

    pub(super) fn kind(&self, path: &Path) -> io::Result<EntryKind> {
        Ok(self.kind_of(self.find(path)?))
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let directory = self.directory(self.find(path)?)?;
        let entries = directory.entries.iter();
        Ok(entries
            .map(|(name, node)| Entry { name: name.clone(), kind: self.kind_of(*node) })
            .collect())
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<&[u8]> {
        Ok(&self.file(self.find(path)?)?.bytes)
    }

    pub(super) fn owner(&self, path: &Path) -> io::Result<Option<ProcessId>> {
        Ok(self.file(self.find(path)?)?.owner)
    }

    /// The names of all files.
    pub(super) fn file_names(&self) -> Vec<String> {
        let directories = self.nodes.values().filter_map(|content| match content {
            Content::Directory(directory) => Some(directory),
            Content::File(_) => None,
        });
        let entries = directories.flat_map(|directory| &directory.entries);
        let files = entries.filter(|(_, node)| self.kind_of(**node) == EntryKind::File);
        files.map(|(name, _)| name.clone()).collect()
    }

    /// How many files a process has open.
    pub(super) fn open_by(&self, process: ProcessId) -> usize {
        let is_open = |content: &&Content| matches!(content, Content::File(file) if file.owner == Some(process));
        self.nodes.values().filter(is_open).count()
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        self.create(path, Content::Directory(Directory::default())).map(|_| ())
    }

    pub(super) fn create_file(&mut self, path: &Path, owner: ProcessId) -> io::Result<Node> {
        self.create(path, Content::File(File { owner: Some(owner), ..File::default() }))
    }

    pub(super) fn append(&mut self, node: Node, bytes: &[u8]) {
        if let Some(Content::File(file)) = self.nodes.get_mut(&node) {
            file.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn sync(&mut self, node: Node) {
        if let Some(Content::File(file)) = self.nodes.get_mut(&node)
            && !file.forgotten
        {
            file.synced = file.bytes.len();
        }
    }

    pub(super) fn forget_to_sync(&mut self, node: Node) {
        if let Some(Content::File(file)) = self.nodes.get_mut(&node) {
            file.forgotten = file.forgotten || file.synced < file.bytes.len();
        }
    }

    pub(super) fn close(&mut self, node: Node, owner: ProcessId) {
        if let Some(Content::File(file)) = self.nodes.get_mut(&node)
            && file.owner == Some(owner)
        {
            file.owner = None;
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let node = *self
            .directory(from_dir)?
            .entries
            .get(&from_name)
            .ok_or(io::Error::from(io::ErrorKind::NotFound))?;
        if let Some(there) = self.directory(to_dir)?.entries.get(&to_name)
            && self.kind_of(*there) == EntryKind::Directory
        {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if from_dir == to_dir {
            self.change(from_dir, Change::Rename { from: from_name, to: to_name, node });
        } else {
            // Both directories have to be synced. Until then the file may have both names, or either.
            self.change(to_dir, Change::Add { name: to_name, node });
            self.change(from_dir, Change::MoveAway { name: from_name, node });
        }
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        if self.kind_of(node) == EntryKind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let (directory, name) = self.parent(path)?;
        self.change(directory, Change::Remove { name });
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        if !self.directory(self.find(path)?)?.entries.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let (directory, name) = self.parent(path)?;
        self.change(directory, Change::Remove { name });
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        let directory = self.directory_mut(node)?;
        directory.durable = directory.entries.clone();
        directory.unsynced.clear();
        Ok(())
    }

    /// A process has died: what it had open is open no more.
    pub(super) fn release(&mut self, owner: ProcessId) {
        for content in self.nodes.values_mut() {
            if let Content::File(file) = content
                && file.owner == Some(owner)
            {
                file.owner = None;
            }
        }
    }

    /// The power goes and comes back: what was synced is there, of all else some, as it happens.
    pub(super) fn lose_power(&mut self, random: &mut SplitMix64) {
        let keeps = match random.below(4) {
            0 => Keeps::UpTo(0),
            1 => Keeps::UpTo(random.below(self.changes + 1)),
            _ => Keeps::Any,
        };
        let mut moved_away = Vec::new();
        for (node, content) in &mut self.nodes {
            match content {
                Content::File(file) => file.lose_power(random),
                Content::Directory(directory) => {
                    let moved = directory.moved_away();
                    moved_away.extend(moved.into_iter().map(|(name, file)| (*node, name, file)));
                    directory.lose_power(keeps, random);
                }
            }
        }
        // A file that is moved is never without a name.
        for (from, name, file) in moved_away {
            let is_named = self.nodes.values().any(|content| {
                matches!(content, Content::Directory(d) if d.entries.values().any(|n| *n == file))
            });
            if !is_named && let Ok(directory) = self.directory_mut(from) {
                directory.entries.entry(name.clone()).or_insert(file);
                directory.durable.entry(name).or_insert(file);
            }
        }
        let mut reachable = BTreeSet::new();
        self.reach(ROOT, &mut reachable);
        self.nodes.retain(|node, _| reachable.contains(node));
    }

    fn reach(&self, node: Node, reachable: &mut BTreeSet<Node>) {
        if reachable.insert(node)
            && let Some(Content::Directory(directory)) = self.nodes.get(&node)
        {
            for below in directory.entries.values() {
                self.reach(*below, reachable);
            }
        }
    }

    fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for component in path.components() {
            if let Component::Normal(name) = component {
                let entries = &self.directory(node)?.entries;
                let name = name.to_str().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
                node = *entries.get(name).ok_or(io::Error::from(io::ErrorKind::NotFound))?;
            }
        }
        Ok(node)
    }

    /// The directory that a path is in, and its name there.
    fn parent(&self, path: &Path) -> io::Result<(Node, String)> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or(io::Error::from(io::ErrorKind::AlreadyExists))?.to_owned();
        let directory = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.directory(directory)?;
        Ok((directory, name))
    }

    fn create(&mut self, path: &Path, content: Content) -> io::Result<Node> {
        let (directory, name) = self.parent(path)?;
        if self.directory(directory)?.entries.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let node = Node(self.next);
        self.next += 1;
        self.nodes.insert(node, content);
        self.change(directory, Change::Add { name, node });
        Ok(node)
    }

    fn change(&mut self, node: Node, change: Change) {
        self.changes += 1;
        let number = self.changes;
        if let Some(Content::Directory(directory)) = self.nodes.get_mut(&node) {
            change.apply(&mut directory.entries);
            directory.unsynced.push((number, change));
        }
    }

    fn kind_of(&self, node: Node) -> EntryKind {
        match self.nodes.get(&node) {
            Some(Content::File(_)) => EntryKind::File,
            Some(Content::Directory(_)) => EntryKind::Directory,
            None => EntryKind::Other,
        }
    }

    fn file(&self, node: Node) -> io::Result<&File> {
        match self.nodes.get(&node) {
            Some(Content::File(file)) => Ok(file),
            Some(Content::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory(&self, node: Node) -> io::Result<&Directory> {
        match self.nodes.get(&node) {
            Some(Content::Directory(directory)) => Ok(directory),
            Some(Content::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn directory_mut(&mut self, node: Node) -> io::Result<&mut Directory> {
        match self.nodes.get_mut(&node) {
            Some(Content::Directory(directory)) => Ok(directory),
            Some(Content::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl File {
    fn lose_power(&mut self, random: &mut SplitMix64) {
        self.owner = None;
        self.forgotten = false;
        let unsynced = self.bytes.len() - self.synced;
        let kept = match random.below(3) {
            0 => 0,
            1 => unsynced,
            _ => usize::try_from(random.below(unsynced as u64 + 1)).unwrap_or(0),
        };
        self.bytes.truncate(self.synced + kept);
        // The length may have reached the medium before the bytes.
        for sector in self.bytes[self.synced..].chunks_mut(SECTOR) {
            if random.happens(0.5) {
                sector.fill(0);
            }
        }
        self.synced = self.bytes.len();
    }
}

impl Directory {
    /// The files that were moved to other directories since the last sync.
    fn moved_away(&self) -> Vec<(String, Node)> {
        let changes = self.unsynced.iter();
        changes
            .filter_map(|(_, change)| match change {
                Change::MoveAway { name, node } => Some((name.clone(), *node)),
                _ => None,
            })
            .collect()
    }

    fn lose_power(&mut self, keeps: Keeps, random: &mut SplitMix64) {
        let mut entries = std::mem::take(&mut self.durable);
        for (number, change) in self.unsynced.drain(..) {
            let is_kept = match keeps {
                Keeps::UpTo(last) => number <= last,
                Keeps::Any => random.happens(0.5),
            };
            match change {
                // A file that is renamed is never without a name, but may have both.
                Change::Rename { to, node, .. } if keeps == Keeps::Any && random.happens(0.3) => {
                    Change::Add { name: to, node }.apply(&mut entries);
                }
                change if is_kept => change.apply(&mut entries),
                _ => {}
            }
        }
        self.entries.clone_from(&entries);
        self.durable = entries;
    }
}

impl Change {
    fn apply(&self, entries: &mut BTreeMap<String, Node>) {
        match self {
            Change::Add { name, node } => {
                entries.insert(name.clone(), *node);
            }
            Change::Remove { name } => {
                entries.remove(name);
            }
            Change::MoveAway { name, node } => {
                if entries.get(name) == Some(node) {
                    entries.remove(name);
                }
            }
            Change::Rename { from, to, node } => {
                if entries.get(from) == Some(node) {
                    entries.remove(from);
                }
                entries.insert(to.clone(), *node);
            }
        }
    }
}
