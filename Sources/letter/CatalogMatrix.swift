internal import Catalog
internal import Numerics
internal import Vocabulary

/// Reads what training needs of a catalog: every item whose vector can be encoded, in key order.
///
/// - Returns: ids; semantic embeddings (items, dimension); collaborative embeddings (items, width), zero where an item
///   has none, or nil if the catalog has none at all; which items have one.
func readCatalogMatrix(
    directory: String
) throws -> (ids: [ItemID], semantic: Matrix, collaborative: Matrix?, mask: [Bool]) {
    let reader = try CatalogReader(path: directory)
    var ids: [ItemID] = []
    var values: [Float] = []
    let count = try reader.count()
    ids.reserveCapacity(count)
    values.reserveCapacity(count * reader.format.dimension)
    try reader.forEachVector { item, vector, fault in
        guard fault == nil else { return }
        ids.append(item)
        values += vector
    }
    let semantic = Matrix(rows: ids.count, columns: reader.format.dimension, values)
    let vectors = try reader.collaborativeEmbeddings()
    guard let width = vectors.first?.vector.count else {
        return (ids, semantic, nil, Array(repeating: false, count: ids.count))
    }
    // Both are in key order: one pass joins them.
    var collaborative = [Float](repeating: 0, count: ids.count * width)
    var mask = Array(repeating: false, count: ids.count)
    var next = 0
    for (row, id) in ids.enumerated() {
        while next < vectors.count, vectors[next].item < id { next += 1 }
        guard next < vectors.count, vectors[next].item == id else { continue }
        collaborative.replaceSubrange((row * width)..<((row + 1) * width), with: vectors[next].vector)
        mask[row] = true
    }
    return (ids, semantic, Matrix(rows: ids.count, columns: width, collaborative), mask)
}
