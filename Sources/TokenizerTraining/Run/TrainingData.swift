package import Files
package import Numerics
import Tokenizer

/// Rows that training reads batch by batch: a matrix in memory, or a file.
package protocol TrainingRows {
    /// How many rows there are.
    var rows: Int { get }
    /// How many elements a row has.
    var columns: Int { get }
    /// Copies rows `indices`, in that order, into `target`, which is resized to hold just them.
    ///
    /// - Throws: where reading can fail, why it did.
    func copyRows(_ indices: [Int], into target: inout Matrix) throws
}

extension Matrix: TrainingRows {
    package func copyRows(_ indices: [Int], into target: inout Matrix) { target.gather(indices, of: self) }
}

extension NumPyFile: TrainingRows {
    /// Reads each row from the file: a training run needs memory for a batch, not for the file.
    package func copyRows(_ indices: [Int], into target: inout Matrix) throws {
        target.resize(rows: indices.count, columns: columns)
        for (position, index) in indices.enumerated() {
            target.setRows(from: position, try floats(index..<(index + 1))[...])
        }
    }
}

/// What a tokenizer is trained on.
struct TrainingData {
    /// Semantic embeddings (items, D), unscaled.
    let semantic: any TrainingRows
    /// CF embeddings (items, d), or nil for none.
    let collaborative: (any TrainingRows)?
    /// Which items have a CF embedding.
    let mask: [Bool]
    /// Scaling of semantic embeddings before the encoder.
    let scaling: InputScaling
    /// Scaling of CF embeddings before the collaborative term.
    let collaborativeScaling: InputScaling

    var items: Int { semantic.rows }

    /// Semantic embeddings of some items, scaled.
    func scaled(_ items: [Int]) throws -> Matrix {
        var rows = Matrix()
        try semantic.copyRows(items, into: &rows)
        scaling.apply(to: &rows)
        return rows
    }

    /// Reads the embeddings of these items into a batch, whose memory is used again.
    func read(_ items: [Int], into batch: inout TrainingBatch) throws {
        try semantic.copyRows(items, into: &batch.semantic)
        scaling.apply(to: &batch.semantic)
        batch.kept.removeAll(keepingCapacity: true)
        guard let collaborative else { return }
        for (row, item) in items.enumerated() where mask[item] { batch.kept.append(row) }
        try collaborative.copyRows(batch.kept.map { items[$0] }, into: &batch.collaborative)
        collaborativeScaling.apply(to: &batch.collaborative)
    }

    /// Calls `body` with the rows of `source` in order, 4,096 at a time.
    static func forEachChunk(of source: any TrainingRows, _ body: (Range<Int>, Matrix) throws -> Void) throws {
        var rows = Matrix()
        for start in stride(from: 0, to: source.rows, by: 4096) {
            let range = start..<min(start + 4096, source.rows)
            try source.copyRows(Array(range), into: &rows)
            try body(range, rows)
        }
    }

    /// FNV-1a over the bits of all embeddings and the mask, so that a checkpoint of other data is recognised.
    func digest() throws -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func add(_ bits: UInt32) { hash = (hash ^ UInt64(bits)) &* 0x100_0000_01b3 }
        add(UInt32(truncatingIfNeeded: semantic.columns))
        try Self.forEachChunk(of: semantic) { _, rows in
            for value in rows.values { add(value.bitPattern) }
        }
        if let collaborative {
            try Self.forEachChunk(of: collaborative) { range, rows in
                for (row, item) in range.enumerated() where mask[item] {
                    add(UInt32(truncatingIfNeeded: item))
                    for value in rows.row(row) { add(value.bitPattern) }
                }
            }
        }
        return hash
    }
}
