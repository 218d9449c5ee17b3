import Catalog
import Core
import Files
import Foundation
import TextEmbedding

/// The path of categories in one field of an item's JSON, from the root; empty if the field has none.
///
/// Text is split at its commas; an array gives its elements, and an array of arrays the first one (as in Amazon's
/// metadata); a number or a truth value is a path of one name.
func categoryPath(ofItem json: some Collection<UInt8>, field: String) -> [String] {
    let object = try? JSONSerialization.jsonObject(with: Data(json)) as? [String: Any]
    func names(_ value: Any?) -> [String] {
        switch value {
        case let text as String: text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        case let list as [Any]:
            if let first = list.first as? [Any] { names(first) } else { list.compactMap { $0 as? String } }
        case let number as NSNumber: ["\(number)"]
        default: []
        }
    }
    return names(object?[field]).filter { !$0.isEmpty }
}

/// Categories of these items from a file of items, one JSON object with an `id` per line; items that are not in the file
/// have none.
///
/// - Parameter ids: in key order.
/// - Throws: `TextEmbeddingError` if a line is not an item; `tokenizer.no_categories` if no item has such a field.
func readCategories(itemsFile path: String, field: String, of ids: [ItemID]) throws -> [[String]] {
    var found: [ItemID: [String]] = [:]
    let lines = try FileSystem.read(path, limit: 1 << 32).split(separator: UInt8(ascii: "\n"))
    for (number, line) in lines.enumerated() where !line.allSatisfy({ $0 <= 32 }) {
        do {
            found[try ItemText(json: Array(line)).id] = categoryPath(ofItem: line, field: field)
        } catch {
            throw error.with(message: "Line \(number + 1) of \(path): \(error.message)")
        }
    }
    return try checkCategories(ids.map { found[$0] ?? [] }, field: field, source: path)
}

/// Categories of these items from the catalog; items without JSON, or whose JSON cannot be read, have none.
///
/// - Parameter ids: in key order.
/// - Throws: `tokenizer.no_categories` if no item has such a field; `CatalogError`.
func readCategories(catalog directory: String, field: String, of ids: [ItemID]) throws -> [[String]] {
    let reader = try CatalogReader(path: directory)
    var categories = [[String]](repeating: [], count: ids.count)
    // Both are in key order, so one pass joins them.
    var next = 0
    try reader.forEachItem { item, json in
        while next < ids.count, ids[next] < item { next += 1 }
        if next < ids.count, ids[next] == item { categories[next] = categoryPath(ofItem: json, field: field) }
    }
    return try checkCategories(categories, field: field, source: directory)
}

/// Refuses a field that gives no categories: its name is easily mistyped.
func checkCategories(_ categories: [[String]], field: String, source: String) throws -> [[String]] {
    guard categories.contains(where: { !$0.isEmpty }) else {
        throw TokenizerCommandError(
            .noCategories,
            "No item of the catalog has categories in a field '\(field)' of \(source).",
            remedy: "Check the field's name, or leave --category-field out.")
    }
    return categories
}
