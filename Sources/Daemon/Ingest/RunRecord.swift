import CLinux
import Files
import Glibc
import Synchronization
import Core

/// What the last run left behind, and what this one leaves to the next: whether it ended cleanly, and which records were
/// being encoded when it crashed.
///
/// A record that crashes the encoder would crash every run after this one. So each block is recorded before it is encoded,
/// in a mapped page that outlives the process, which costs no system call. After a crash the block is encoded in smaller
/// ones, then the small one record by record; the record that crashes the process again is quarantined: three starts at
/// most.
final class RunRecord: @unchecked Sendable {
    /// Records that were being encoded. `digest` is of the first one.
    struct Block: Sendable, Hashable {
        var generation: Int
        var count: Int
        var first: ItemID
        var last: ItemID
        var digest: Digest
    }

    /// Whether the last run did not end cleanly: it was killed, it crashed, the power failed, or a write failed.
    let wasUnclean: Bool
    /// The signal that crashed the last run, and the name of the thread; nil if none was recorded.
    let crash: (signal: Int32, thread: String)?

    // Mapped for the life of the process. The block at hand is written by the encoder's thread alone, the suspect one
    // under its lock.
    private let page: OpaquePointer
    /// A block that ended a run: its records are encoded a few at a time.
    private let suspect: Mutex<Block?>
    /// The one record that ended the last run, until its index quarantines it.
    private let poison: Mutex<Block?>

    /// Records of a block out of a larger one that ended a run; those of such a block are encoded one by one.
    static let smallBlock = 96

    /// Reads what the last run left in the file `path`, and records that this one has begun.
    ///
    /// - Throws: `FilesError`.
    init(path: String) throws {
        guard let page = letter_run_open(path) else { throw FilesError.system("map", path, errno: errno) }
        self.page = page
        wasUnclean = letter_run_was_unclean(page) != 0
        let signal = letter_run_crash_signal(page)
        crash = signal == 0 ? nil : (signal, String(cString: letter_run_crash_thread(page)))
        var suspect = Self.read(letter_run_suspect(page))
        var poison: Block?
        // Only a crash of the encoder's thread can have been caused by the record.
        if let crash, crash.thread == PipelineThreads.encodeName, let block = Self.read(letter_run_current(page)) {
            if block.count == 1 { poison = block } else { suspect = block }
        }
        self.suspect = Mutex(suspect)
        self.poison = Mutex(poison)
        if let suspect { Self.write(suspect, to: letter_run_suspect(page)) }
        guard letter_run_begin(page) == 0 else { throw FilesError.system("sync", path, errno: errno) }
    }

    /// Records that the run ended cleanly.
    func end() { _ = letter_run_end(page) }

    /// The record of this generation that ended the last run; only once, then nil.
    func takePoison(of generation: Int) -> Block? {
        poison.withLock { block in
            guard block?.generation == generation else { return nil }
            defer { block = nil }
            return block
        }
    }

    /// The first of these items, in key order, that are to be encoded together: at most `most`, fewer near a record that
    /// ended a run.
    func block(of items: ArraySlice<ItemID>, generation: Int, most: Int) -> ArraySlice<ItemID> {
        guard let suspect = suspect.withLock({ $0 }), suspect.generation == generation, let first = items.first,
            first <= suspect.last
        else { return items.prefix(most) }
        guard first >= suspect.first else { return items.prefix(most).prefix { $0 < suspect.first } }
        return items.prefix(suspect.count > Self.smallBlock ? Self.smallBlock : 1)
    }

    /// Records that these are encoded now, in the order of their keys; called by the encoder's thread.
    func begin(_ items: [ItemID], _ digests: [Digest], generation: Int) {
        guard let first = items.first, let last = items.last, let digest = digests.first else { return }
        let block = Block(generation: generation, count: items.count, first: first, last: last, digest: digest)
        Self.write(block, to: letter_run_current(page))
    }

    /// Records that nothing is encoded now.
    func finish() { letter_block_clear(letter_run_current(page)) }

    /// Records that a generation has encoded everything it had to.
    func passed(_ generation: Int) {
        suspect.withLock { suspect in
            guard suspect?.generation == generation else { return }
            suspect = nil
            letter_block_clear(letter_run_suspect(page))
        }
    }

    private static func read(_ block: UnsafeMutablePointer<letter_block>) -> Block? {
        let raw = block.pointee
        guard raw.count > 0, (1...511).contains(raw.first_length), (1...511).contains(raw.last_length) else {
            return nil
        }
        func id(_ start: UnsafePointer<UInt8>, _ length: UInt16) -> ItemID {
            ItemID(unchecked: Array(UnsafeBufferPointer(start: start, count: Int(length))))
        }
        return Block(
            generation: Int(clamping: raw.generation), count: Int(raw.count),
            first: id(letter_block_first(block), raw.first_length), last: id(letter_block_last(block), raw.last_length),
            digest: Digest(high: raw.digest_high, low: raw.digest_low))
    }

    private static func write(_ block: Block, to target: UnsafeMutablePointer<letter_block>) {
        letter_block_set(
            target, UInt64(block.generation), UInt32(clamping: block.count), block.first.bytes, block.first.bytes.count,
            block.last.bytes, block.last.bytes.count, block.digest.high, block.digest.low)
    }
}
